"""Speed of a model on a clip: network and tracker, with and without window, and `vepe track`.

    python benchmarks/bench_inference.py [CLIP] [--model vepe-n] [--runs 5]

The runs are interleaved, so that drifting machine speed affects all alike; quote the medians. What
the window costs is the difference of the first two rows.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

import vepe
from vepe.inference.predictor import load
from vepe.video.reader import open_video

CLIP = Path(__file__).parents[1] / "assets" / "store_aisle.mp4"


def network_fps(model: vepe.Predictor, clip: Path) -> float:
    """Frames per second with all frames in memory: letterbox, network, tracker."""
    with open_video(clip) as video:
        frames = list(video)
    stream = model.stream()
    start = time.perf_counter()
    for frame in frames:
        stream.push(frame.image, frame.time_s)
    stream.finish()
    return len(frames) / (time.perf_counter() - start)


def command_fps(model_name: str, clip: Path, frames: int) -> float:
    """Frames per second of `vepe track`: loading, decoding, network, drawing, encoding."""
    from vepe.cli.track import track

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        track(str(clip), output=Path(folder), model=model_name)
        return frames / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    vepe.keep_freed_memory()
    model = load(options.model)
    single = load(options.model, window=1)
    network_fps(model, options.clip)  # warm-up
    with open_video(options.clip) as video:
        count = sum(1 for _ in video)
    window_1, alone, whole = [], [], []
    for _ in range(options.runs):
        window_1.append(network_fps(single, options.clip))
        alone.append(network_fps(model, options.clip))
        whole.append(command_fps(options.model, options.clip, count))
    threads = torch.get_num_threads()
    print(f"{options.model} at {model.config.input_px} px on {options.clip.name}, {count} frames")
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {threads} threads, torch {torch.__version__}")
    rows = {"window of one": window_1, "network and tracker": alone, "vepe track": whole}
    for name, values in rows.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name}: {middle:.1f} frames/s (min {low:.1f}, max {high:.1f}, {len(values)} runs)")
    cost = 1 / statistics.median(alone) - 1 / statistics.median(window_1)
    share = 100 * cost * statistics.median(alone)
    print(f"the window: {1000 * cost:.1f} ms per frame, {share:.0f} % of the frame's time")


if __name__ == "__main__":
    main()
