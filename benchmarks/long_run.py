"""Memory and timestamps of `vepe track` over a very long video with sound.

    python benchmarks/long_run.py [--frames 100000] [--imgsz 64]

Makes a video of 64 x 48 px at 29.97 fps with a tone that starts again every minute, tracks it with
a tiny untrained model (whose people come and go at random, so that the tracker has work) on ONNX
Runtime, which `vepe track` uses by default, and compares every timestamp, and the onsets of the
tone, of the written video with those of the source.
Prints the resident memory every minute, and at 10, 20 ... 100 % of the way. Ctrl-C ends it early,
and what is finished is compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny_models import moving_frames, tiny_weights_file
from vepe.cli.app import run

FPS = Fraction(30_000, 1001)
AUDIO_RATE = 16_000
TONE_EVERY_S, TONE_S = 60, 0.5


def make_video(path: Path, num_frames: int) -> None:
    """A texture that moves to and fro, and a tone in the first half second of every minute."""
    views = moving_frames(64, width=64, height=48)
    block = AUDIO_RATE  # one second
    seconds = np.arange(block) / AUDIO_RATE
    tone = (np.sin(2 * np.pi * 440 * seconds) * (seconds < TONE_S) * 12_000).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        second = 0
        for number in range(num_frames):
            place = number % 126
            image = av.VideoFrame.from_ndarray(views[min(place, 126 - place)])
            image.pts, image.time_base = number, 1 / FPS
            container.mux(video.encode(image))
            if number / FPS >= second:
                wave = tone if second % TONE_EVERY_S == 0 else np.zeros(block, np.int16)
                audio = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
                audio.sample_rate, audio.pts = AUDIO_RATE, second * block
                audio.time_base = Fraction(1, AUDIO_RATE)
                container.mux(sound.encode(audio))
                second += 1
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def video_times_s(path: Path) -> np.ndarray:
    """(F,) presentation times of all frames in seconds, sorted, the first one 0."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pts = sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None)
        assert stream.time_base is not None
        return np.array([float((value - pts[0]) * stream.time_base) for value in pts])


def tone_onsets_s(path: Path) -> np.ndarray:
    """(N,) times at which the tone starts, in seconds from the first frame of the video."""
    onsets: list[float] = []
    quiet_since = -1.0
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        zero_s = float((video.start_time or 0) * (video.time_base or 0))
        for frame in container.decode(container.streams.audio[0]):
            samples = np.abs(frame.to_ndarray()[0]).astype(np.float64)
            loud = np.flatnonzero(samples > 0.1)  # AAC decodes to floats of -1 to 1
            assert frame.time is not None
            if len(loud):
                start_s = frame.time + loud[0] / frame.sample_rate
                if start_s - quiet_since > 1:
                    onsets.append(start_s - zero_s)
                quiet_since = frame.time + loud[-1] / frame.sample_rate
    return np.array(onsets)


class MemoryLog:
    """Resident memory of this process every second, while it is a running context."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.megabytes.append(pages * 4096 / 1e6)
            if len(self.megabytes) % 60 == 0:
                minutes = len(self.megabytes) // 60
                print(f"{minutes} minutes: {self.megabytes[-1]:.0f} MB", flush=True)

    def __enter__(self) -> MemoryLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--imgsz", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "long.mp4"
        make_video(source, options.frames)
        print(f"source: {options.frames} frames, {source.stat().st_size / 1e6:.0f} MB", flush=True)
        weights = folder / "tiny.onnx"
        run(["export", str(tiny_weights_file(folder)), "-o", str(weights), "--video", str(source)])
        begun = time.monotonic()
        with MemoryLog() as log:
            arguments = ["track", str(source), "-o", str(folder / "out"), "--model", str(weights)]
            code = run([*arguments, "--imgsz", str(options.imgsz), "--conf", "0.3"])
        seconds = time.monotonic() - begun
        print(f"exit code {code}, {seconds:.0f} s")
        steps = [log.megabytes[round(len(log.megabytes) * k / 10) - 1] for k in range(1, 11)]
        print("memory in MB:", " ".join(f"{value:.0f}" for value in steps))
        written = folder / "out" / "long.mp4"
        new_s = video_times_s(written)
        old_s = video_times_s(source)[: len(new_s)]
        print(f"frames: {options.frames} in the source, {len(new_s)} written")
        print(f"largest difference of a timestamp: {np.abs(old_s - new_s).max() * 1e6:.1f} us")
        document = json.loads((folder / "out" / "long.json").read_text())
        stated_s = np.array([image["time_s"] for image in document["images"]])
        print(f"largest difference in the JSON: {np.abs(old_s - stated_s).max() * 1e6:.1f} us")
        new_s = tone_onsets_s(written)
        old_s = tone_onsets_s(source)[: len(new_s)]
        print(f"tones: {len(new_s)} written")
        print(f"largest difference of an onset: {np.abs(old_s - new_s).max() * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
