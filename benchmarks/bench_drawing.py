"""CPU time of drawing per frame, for each option; and a figure that shows the options.

    python benchmarks/bench_drawing.py out/walk.json walk.mp4 --frames 40
    python benchmarks/bench_drawing.py out/walk.json walk.mp4 --figure drawing.jpg --at 1.6

One thread; user and system time of the process, the smallest of five rounds, without decoding.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import vepe
from vepe.viz.drawing import PoseRenderer
from vepe.viz.options import DrawingOptions

ROUNDS = 5
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "fade": {"fade": True},
    "boxes": {"boxes": True},
    "trail_s=2": {"trail_s": 2.0},
    "hide=faces": {"hide": "faces"},
    "hide=people": {"hide": "people"},
    "background=blur": {"background": "blur"},
    "background=black": {"background": "black"},
}
FIGURE: tuple[dict[str, Any], ...] = (
    {},
    {"boxes": True, "trail_s": 2.0},
    {"hide": "faces", "hide_by": "pixelate", "skeleton": False},
    {"hide": "people", "ids": False},
    {"background": "blur", "ids": False},
    {"background": "black"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("poses", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--at", type=float, default=1.0, help="time of the figure's frame in s")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    result = vepe.read(options.poses, video=options.video)
    if options.figure is not None:
        write_figure(result, options.at, options.figure)
        return
    frames = [(frame.image, frame.poses) for frame in islice(result, options.frames)]
    people = np.mean([len(poses) for _, poses in frames])
    height, width = frames[0][0].shape[:2]
    print(f"{width}x{height}, {len(frames)} frames, {people:.1f} people per frame")
    best = dict.fromkeys(CASES, np.inf)
    for _ in range(ROUNDS):
        for name, case in CASES.items():
            renderer = PoseRenderer(result.skeleton, DrawingOptions(**case))
            begun_s = time.process_time()
            for image, poses in frames:
                renderer.draw(image, poses)
            best[name] = min(best[name], time.process_time() - begun_s)
    for name, seconds in best.items():
        print(f"{name:18} {1000 * seconds / len(frames):6.2f} ms per frame")


def write_figure(result: vepe.VideoResult, at_s: float, path: Path) -> None:
    """One frame in six drawings, three in a row."""
    panels = []
    for case in FIGURE:
        renderer = PoseRenderer(result.skeleton, DrawingOptions(**case))
        for frame in result:
            drawn = renderer.draw(frame.image, frame.poses)
            if frame.time_s >= at_s:
                break
        panels.append(drawn)
    rows = [np.concatenate(panels[i : i + 3], axis=1) for i in (0, 3)]
    figure = np.concatenate(rows)
    cv2.imwrite(str(path), figure[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
