"""The same frame read alone and with its window, side by side (docs/images/window.jpg).

    python benchmarks/window_figure.py VIDEO --frame N [--crop X Y W H] [--model vepe-n] [-o FILE]

VIDEO is a file, or a folder of frames (`vepe synth` writes such folders). Left: the poses of frame
N with a window of one; right: with the model's window. The weights are the same, and so are the
colours of people, who are matched by distance.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vepe.inference.predictor import Predictor, load
from vepe.types import Frame, FramePoses
from vepe.video.reader import open_video
from vepe.viz.colours import DARK, WHITE
from vepe.viz.drawing import draw_poses
from vepe.viz.options import DrawingOptions

BEFORE, AFTER = 10, 3
"""Frames that are read before and after the drawn one."""
HEIGHT_PX, HEADING_PX, GAP_PX = 480, 40, 8


def read_frames(source: str, number: int) -> list[Frame]:
    """The frames around frame `number`."""
    frames = []
    with open_video(source) as video:
        for frame in video:
            if frame.index > number + AFTER:
                break
            if frame.index >= number - BEFORE:
                frames.append(frame)
    if not any(frame.index == number for frame in frames):
        raise SystemExit(f"{source} has no frame {number}; give a smaller --frame.")
    return frames


def poses_of(predictor: Predictor, frames: list[Frame], number: int) -> FramePoses:
    """The poses of frame `number`, without tracking."""
    stream = predictor.new_stream(tracking=False)
    outputs = []
    for frame in frames:
        outputs += stream.push(frame.image, frame.time_s, frame.index)
    outputs += stream.finish()
    return next(poses for poses in outputs if poses.frame_index == number)


def with_ids_of(poses: FramePoses, other: FramePoses) -> FramePoses:
    """The poses with the index of the nearest pose of `other` as track id, for equal colours."""
    offset = poses.keypoints_px[:, None] - other.keypoints_px[None]  # (P, Q, K, 2)
    distance = np.linalg.norm(offset, axis=-1).mean(axis=-1)  # (P, Q)
    return replace(poses, track_ids=distance.argmin(axis=1).astype(poses.track_ids.dtype))


def panel(image: np.ndarray, heading: str) -> np.ndarray:
    """The image at `HEIGHT_PX` below its heading."""
    width = round(image.shape[1] * HEIGHT_PX / image.shape[0])
    image = cv2.resize(image, (width, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    strip = np.full((HEADING_PX, width, 3), DARK, np.uint8)
    place = (12, HEADING_PX - 13)
    cv2.putText(strip, heading, place, cv2.FONT_HERSHEY_DUPLEX, 0.62, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([strip, image])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("--frame", type=int, required=True)
    parser.add_argument("--crop", type=int, nargs=4, metavar=("X", "Y", "W", "H"))
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/window.jpg"))
    options = parser.parse_args()
    frames = read_frames(options.video, options.frame)
    image = next(frame.image for frame in frames if frame.index == options.frame)
    x, y, width, height = options.crop or (0, 0, image.shape[1], image.shape[0])
    alone, full = load(options.model, window=1), load(options.model)
    of_window = poses_of(full, frames, options.frame)
    of_frame = poses_of(alone, frames, options.frame)
    if not len(of_window):
        raise SystemExit(f"There is nobody in frame {options.frame}; give another --frame.")
    of_window = replace(of_window, track_ids=np.arange(len(of_window)))
    panels = []
    for poses, heading in (
        (with_ids_of(of_frame, of_window), "this frame alone"),
        (of_window, f"window of {full.config.temporal.window} frames"),
    ):
        drawn = draw_poses(image, poses, full.skeleton, DrawingOptions(ids=False))
        panels.append(panel(drawn[y : y + height, x : x + width], heading))
    gap = np.full((len(panels[0]), GAP_PX, 3), WHITE, np.uint8)
    figure = np.concatenate([panels[0], gap, panels[1]], axis=1)
    cv2.imwrite(str(options.output), figure[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
