"""Drawing the poses of a video onto its frames, into a new video; no network runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe.formats.files import check_targets
from vepe.partial_files import expect_new
from vepe.types import Frame, FramePoses, PoseTracks
from vepe.video.images import VIDEO_SUFFIXES
from vepe.video.reader import open_video
from vepe.video.source import VideoSource
from vepe.video.writer import VideoWriter
from vepe.viz.drawing import PoseRenderer
from vepe.viz.options import DrawingOptions

_MIN_SIDE_PX, _MAX_GUESS_PX, _MAX_SIDE_PX = 64, 3840, 16_384
"""Limits of a black video's sides: where poses do not say how large it is, and where they do."""

_MAX_SPAN_S = 100 * 3600.0


def draw_video(
    tracks: PoseTracks,
    video: str | Path | None,
    output: Path,
    options: DrawingOptions | None = None,
    *,
    overwrite: bool = False,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Writes the frames of a video that have poses, with the poses drawn on them.

    The new video begins at the first frame of the poses and ends with the last one; the sound is
    kept. Frames between them that a file left out since nobody is in them come without drawings;
    where every n-th frame was tracked, only those are written.

    Args:
        tracks: the poses.
        video: what they belong to: a file or a folder of images; None draws on black.
        output: the .mp4 file to write.
        options: how to draw.
        overwrite: whether `output` may be replaced; `video` never is.
        on_frame: called after every frame with the number written so far, and of all.

    Returns:
        `output`.

    Raises:
        VepeError: where there are no frames, the video cannot be read or is another one, or the
            output cannot be written.
    """
    options = options or DrawingOptions()
    check_video_path(output)
    check_output(output, *([] if video is None else [video]), overwrite=overwrite)
    if not len(tracks):
        raise VepeError(f"The poses of '{tracks.video.name}' have no frames; nothing to draw.")
    stride = math.gcd(*(f.frame_index - tracks.frames[0].frame_index for f in tracks.frames)) or 1
    with _open(tracks, video) as source:
        _check_size(tracks, source)
        pairs = _pairs(tracks, source, stride)
        first = next(pairs, None)
        if first is None:
            raise _other_video(tracks.frames[0].frame_index, source.info.name)
        total = (tracks.frames[-1].frame_index - first[0].index) // stride + 1
        info, renderer = source.info, PoseRenderer(tracks.skeleton, options)
        width, height = options.output_size(info.width, info.height)
        with VideoWriter(
            output,
            width=width,
            height=height,
            fps=info.fps / stride,
            audio_from=info.path if info.has_audio else None,
            start_s=first[0].time_s,
            time_base=source.time_base,
        ) as writer:
            writer.write(renderer.draw(first[0].image, first[1]), first[0].time_s)
            on_frame(1, total)
            for done, (frame, poses) in enumerate(pairs, start=2):
                writer.write(renderer.draw(frame.image, poses), frame.time_s)
                on_frame(done, total)
    return output


def _open(tracks: PoseTracks, video: str | Path | None) -> VideoSource:
    """The video, from shortly before the first frame with poses; a black one if it is None."""
    if video is None:
        check_times(tracks)
        return _BlackVideo(tracks)
    folder_fps = tracks.video.fps if Path(video).is_dir() else None
    return open_video(video, start_s=max(tracks.frames[0].time_s - 1e-3, 0.0), fps=folder_fps)


class _BlackVideo(VideoSource):
    """Black frames at the times of the poses."""

    def __init__(self, tracks: PoseTracks) -> None:
        self._frames, self._image = tracks.frames, black_image(tracks)
        height, width = self._image.shape[:2]
        self.info = replace(
            tracks.video, width=width, height=height, path=None, has_audio=False,
            frame_count=len(tracks),
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        for poses in self._frames:
            yield Frame(poses.frame_index, poses.time_s, self._image)

    def close(self) -> None:
        """Holds nothing open."""


def black_image(tracks: PoseTracks) -> UInt8[np.ndarray, "H W 3"]:
    """A black image as large as the video, or as its people need where its size is not known.

    Raises:
        VepeError: if the poses state a size that no video has.
    """
    width, height = tracks.video.width, tracks.video.height
    if max(width, height) > _MAX_SIDE_PX:
        raise VepeError(
            f"The poses of '{tracks.video.name}' are of a video of {width}x{height} px, more than "
            f"{_MAX_SIDE_PX} on a side; correct the file."
        )
    if not (width and height):
        points = [frame.keypoints_px.reshape(-1, 2) for frame in tracks.frames]
        every = np.concatenate([*points, np.zeros((0, 2))])
        farthest = every[np.isfinite(every).all(axis=1)].max(axis=0, initial=_MIN_SIDE_PX)
        width, height = np.clip(1.05 * farthest, _MIN_SIDE_PX, _MAX_GUESS_PX).astype(int).tolist()
    return np.zeros((height, width, 3), np.uint8)


def check_times(tracks: PoseTracks) -> None:
    """Raises VepeError where the times of the frames do not increase, or span years."""
    times = np.array([frame.time_s for frame in tracks.frames])
    steps = np.diff(times)
    wrong = np.flatnonzero(~(steps > 0))
    if len(wrong):
        raise VepeError(
            f"The times of '{tracks.video.name}' do not increase: frame "
            f"{tracks.frames[int(wrong[0]) + 1].frame_index} is at {times[wrong[0] + 1]:g} s after "
            f"{times[wrong[0]]:g} s; correct the file."
        )
    if len(times) > 1 and times[-1] - times[0] > _MAX_SPAN_S:
        raise VepeError(
            f"The frames of '{tracks.video.name}' span {times[-1] - times[0]:g} s; correct their "
            "times."
        )


def check_video_path(path: Path) -> None:
    """Raises VepeError where the name is not that of an MP4 file, the only kind that is written."""
    if path.suffix.lower() != ".mp4":
        raise VepeError(f"Videos are written as MP4; name '{path.with_suffix('.mp4')}'.")


def is_video_name(path: Path) -> bool:
    """Whether a result of this name is a video. Raises VepeError where it cannot be MP4."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        check_video_path(path)
        return True
    return False


def check_output(output: Path, *sources: str | Path, overwrite: bool) -> None:
    """Raises VepeError where a result exists and may not be replaced, or would replace a source."""
    check_targets([output], [Path(s) for s in sources], overwrite=True)
    if output.exists() and not overwrite:
        raise VepeError(
            f"'{output}' is already there; pass overwrite=True to replace it, or name another."
        )
    expect_new([output], overwrite=overwrite)


def _pairs(
    tracks: PoseTracks, source: VideoSource, stride: int
) -> Iterator[tuple[Frame, FramePoses]]:
    """The frames of the span with their poses, empty ones where the tracks left them out."""
    poses_of = {poses.frame_index: poses for poses in tracks.frames}
    first, last = tracks.frames[0].frame_index, tracks.frames[-1].frame_index
    for frame in source:
        if frame.index < first or (frame.index - first) % stride:
            continue
        if frame.index > last:
            return
        poses = poses_of.pop(frame.index, None)
        yield frame, poses or FramePoses.empty(frame.index, frame.time_s, len(tracks.skeleton))
        if frame.index == last:
            return
    if poses_of:
        raise _other_video(min(poses_of), tracks.video.name)


def _check_size(tracks: PoseTracks, source: VideoSource) -> None:
    info, expected = source.info, (tracks.video.width, tracks.video.height)
    if all(expected) and expected != (info.width, info.height):
        raise VepeError(
            f"The poses are of a video of {expected[0]}x{expected[1]}, but '{info.name}' has "
            f"{info.width}x{info.height}; give the video that they were made from."
        )


def _other_video(frame_index: int, name: str | Path) -> VepeError:
    return VepeError(
        f"'{name}' has no frame {frame_index}, but the poses do; give the video that they were "
        "made from."
    )
