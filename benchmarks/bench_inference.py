"""Speed of a model on a clip: the network and tracker alone, and the whole of `vepe track`.

    python benchmarks/bench_inference.py [CLIP] [--model vepe-n] [--runs 5]

The runs of both are interleaved, so that drifting machine speed affects both alike; quote the
median.
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
    network_fps(model, options.clip)  # warm-up
    with open_video(options.clip) as video:
        count = sum(1 for _ in video)
    alone, whole = [], []
    for _ in range(options.runs):
        alone.append(network_fps(model, options.clip))
        whole.append(command_fps(options.model, options.clip, count))
    threads = torch.get_num_threads()
    print(f"{options.model} at {model.config.input_px} px on {options.clip.name}, {count} frames")
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {threads} threads, torch {torch.__version__}")
    for name, values in (("network and tracker", alone), ("vepe track", whole)):
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name}: {middle:.1f} frames/s (min {low:.1f}, max {high:.1f}, {len(values)} runs)")


if __name__ == "__main__":
    main()
