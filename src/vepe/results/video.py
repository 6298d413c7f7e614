"""`VideoResult`: the poses of a whole video, to be saved, tabulated, drawn and smoothed."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from vepe.config.tracking import SmoothingSettings
from vepe.errors import VepeError
from vepe.formats.files import as_path
from vepe.formats.tracks import format_of, read_tracks, write_tracks
from vepe.results.frame import FrameResult
from vepe.results.images import FrameImages
from vepe.results.render import check_output, draw_video, is_video_name
from vepe.results.table import frame_record, to_pandas
from vepe.tracking.smoothing_offline import smooth_offline
from vepe.types import PoseTracks
from vepe.video.images import VIDEO_SUFFIXES
from vepe.video.reader import open_video
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VideoResult(PoseTracks):
    """The poses of a video; everything of `PoseTracks`, and:

    Iterating it and `result[3]` give `FrameResult`s, whose images are decoded when asked for.

    Attributes:
        source: the video that the poses belong to, where it is known and can be read again.
    """

    source: str | Path | None = None

    @staticmethod
    def of(tracks: PoseTracks, source: str | Path | None = None) -> VideoResult:
        """The poses with their video."""
        values = {f.name: getattr(tracks, f.name) for f in fields(PoseTracks)}
        return VideoResult(**values, source=source)

    @cached_property
    def _images(self) -> FrameImages | None:
        if self.source is None:
            return None
        return FrameImages(self.source, self.video.fps if Path(self.source).is_dir() else None)

    def _result(self, index: int) -> FrameResult:
        poses, images = self.frames[index], self._images
        load = None
        if images is not None:
            load = partial(images.get, poses.frame_index, poses.time_s)
        name = self.file_names[index] if self.file_names else ""
        return FrameResult.of(poses, self.skeleton, load, name)

    def __iter__(self) -> Iterator[FrameResult]:
        return (self._result(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> FrameResult: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> FrameResult | Self:
        return super().__getitem__(index) if isinstance(index, slice) else self._result(index)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Writes the poses in the format that the ending of the path names.

        `.json` (PoseTrack), `.coco.json`, `.csv`, `.parquet`, `.h5`, `.slp`, `.nwb`, `.rrd`,
        `.mot.txt`, a folder `..._openpose`, and `.mp4` for a video with the people drawn on it.

        Args:
            path: the file to write.
            overwrite: whether it may be replaced.

        Returns:
            The path.

        Raises:
            VepeError: where the ending is unknown, the file exists, or it cannot be written.
        """
        path = as_path(path)
        if is_video_name(path):
            return self.draw(path, overwrite=overwrite)
        name = format_of(path)
        check_output(path, *self._sources(), overwrite=overwrite)
        return write_tracks(name, path, self)

    def _sources(self) -> list[str | Path]:
        return [] if self.source is None else [self.source]

    def draw(
        self,
        output: str | Path,
        *,
        video: str | Path | None = None,
        options: DrawingOptions | None = None,
        overwrite: bool = False,
        **changes: Any,
    ) -> Path:
        """Writes the video with the people drawn on it; see `vepe.results.render.draw_video`.

        Args:
            output: the .mp4 file to write.
            video: what the poses belong to, where the result does not know it.
            options: how to draw; keywords change single ones: `trail_s=1.0, hide="faces"`.
            overwrite: whether `output` may be replaced.

        Returns:
            The path.

        Raises:
            VepeError: where the video is not known or another one, or the file exists.
        """
        video = self.source if video is None else video
        if video is None:
            raise VepeError(
                f"The video of '{self.video.name}' is not known; give it: "
                f"draw('{output}', video='...')."
            )
        options = replace(options or DrawingOptions(), **changes)
        return draw_video(self, video, as_path(output), options, overwrite=overwrite)

    def smooth(self, settings: SmoothingSettings | None = None) -> Self:
        """The poses with keypoints smoothed over time, from both sides, and short gaps filled.

        As `vepe.load(smooth="offline")` does while it tracks; poses without ids stay as they are.
        """
        absent = any(np.isnan(f.keypoints_px).any() for f in self.frames)
        frames = list(self.frames)
        if absent:  # place them on the person; their weight is next to nothing
            frames = [replace(f, keypoints_px=_filled(f.keypoints_px)) for f in frames]
        frames = smooth_offline(frames, settings)
        if absent:
            frames = [
                replace(
                    f,
                    keypoints_px=np.where(f.keypoint_scores[..., None] > 0, f.keypoints_px, np.nan),
                )
                for f in frames
            ]
        options = self.info.get("options")
        info = self.info
        if isinstance(options, dict):
            info = {**info, "options": {**options, "smooth": "offline"}}
        return replace(self, frames=tuple(frames), info=info)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: video, skeleton, info, and frames as `FrameResult.to_dict`."""
        video = self.video
        names = self.file_names or ("",) * len(self)
        return {
            "video": {
                "name": video.name,
                "width": video.width,
                "height": video.height,
                "fps": video.fps,
            },
            "skeleton": self.skeleton.to_dict(),
            "info": self.info,
            "frames": [
                frame_record(poses, self.skeleton, name)
                for poses, name in zip(self.frames, names, strict=True)
            ],
        }

    def to_pandas(self) -> pandas.DataFrame:
        """A long table, one row per frame, person and keypoint: `vepe.results.table.to_pandas`.

        Raises:
            VepeError: where pandas is not installed.
        """
        return to_pandas(self.frames, self.skeleton)

    def _repr_html_(self) -> str:
        """For notebooks: one line, and a table of the tracks."""
        rows = "".join(
            f"<tr><td>{person.track_id}</td><td>{person.times_s[0]:.2f}</td>"
            f"<td>{person.times_s[-1]:.2f}</td><td>{len(person)}</td>"
            f"<td>{person.scores.mean():.2f}</td></tr>"
            for person in map(self.person, self.track_ids())
        )
        head = "".join(f"<th>{name}</th>" for name in ("id", "from s", "to s", "frames", "score"))
        return f"<code>{html.escape(repr(self))}</code><table><tr>{head}</tr>{rows}</table>"


def _filled(keypoints_px: np.ndarray) -> np.ndarray:
    """(P, K, 2) with NaN replaced by the middle of the person's other keypoints."""
    known = np.isfinite(keypoints_px)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    means = np.where(known, keypoints_px, 0.0).sum(axis=1, keepdims=True) / counts
    filled: np.ndarray = np.where(known, keypoints_px, means).astype(keypoints_px.dtype)
    return filled


def read(
    path: str | Path,
    *,
    video: str | Path | None = None,
    sequence: str | None = None,
    fps: float | None = None,
) -> VideoResult:
    """Reads poses of a video that VEPE or another tool wrote.

    The format is detected: PoseTrack 2017, 2018 and 2021, COCO (also results), CSV, Parquet, and a
    folder of OpenPose files. Labels of a data set become poses too.

    Args:
        path: the file, or the folder of OpenPose files.
        video: the video that the poses belong to, for images and drawing; None takes the one that
            the file names, if it is still there.
        sequence: which one, where the file holds several.
        fps: frames per second, for files without times; the video's, or 25, if None.

    Raises:
        VepeError: where the file cannot be read or holds no poses, it holds several sequences and
            none is named, or the video is another one.
    """
    path = as_path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise VepeError(f"'{path}' is a video, not a file of poses; use track of a model.")
    info = None
    if video is not None:
        as_path(video, "a video")
        with open_video(video) as opened:
            info = opened.info
    sequences = read_tracks(path, fps=info.fps if fps is None and info is not None else fps)
    tracks = _chosen(sequences, sequence, path)
    if info is not None:
        size = (tracks.video.width, tracks.video.height)
        if all(size) and size != (info.width, info.height):
            raise VepeError(
                f"The poses in '{path}' are of a video of {size[0]}x{size[1]}, but '{video}' has "
                f"{info.width}x{info.height}; give the video that they were made from."
            )
        return VideoResult.of(replace(tracks, video=info), video)
    return _with_stated_video(tracks)


def _chosen(sequences: tuple[PoseTracks, ...], name: str | None, path: Path) -> PoseTracks:
    names = [tracks.video.name for tracks in sequences]
    if name is None and len(sequences) == 1:
        return sequences[0]
    if not sequences:
        raise VepeError(f"{path} holds no frames; check the path.")
    if name not in names:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        what = f"{len(names)} sequences" if name is None else f"no sequence '{name}'"
        raise VepeError(f"{path} holds {what}; name one of {listed}: read(path, sequence=...).")
    return sequences[names.index(name)]


def _with_stated_video(tracks: PoseTracks) -> VideoResult:
    """The poses with the name of the video in the file's `info`, and the video if it is there."""
    stated = tracks.info.get("source")
    stated = stated if isinstance(stated, dict) else {}
    name, path = stated.get("name"), stated.get("path")
    if isinstance(name, str) and name:
        tracks = replace(tracks, video=replace(tracks.video, name=name))
    if not isinstance(path, str) or not path or "\0" in path or not Path(path).exists():
        return VideoResult.of(tracks)
    return VideoResult.of(tracks, Path(path))
