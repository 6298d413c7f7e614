"""Inferred segments on shared storage, named by what they hold.

The folder of a video is named by the key of its result (`RunInfo.key`: model, options, version of
VEPE, video) and a file by its part of the video. So a file that is there is the right one, no
matter who wrote it, and what a lost cluster has inferred is never inferred again.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.inference.result_store import ResultStore
from vepe.inference.segment import Segment
from vepe.inference.stream import InferredFrame
from vepe.types import FramePoses

RUN_FOLDER = "vepe_run"
"""Folder in that of the results for all that is no result."""


@dataclass(frozen=True)
class SegmentFolder:
    """Where the segments of a video lie until its result is written.

    Attributes:
        results: the folder of the results; not used with a store.
        key: of the video's result.
        store: of the results, where there is one.
    """

    results: Path
    key: str
    store: ResultStore | None = None

    @property
    def name(self) -> str:
        """Relative to the results."""
        return f"{RUN_FOLDER}/segments/{self.key}"

    @property
    def path(self) -> Path:
        return self.results / self.name

    def remove(self) -> None:
        """Removes all segments; what cannot be removed stays."""
        if self.store is None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        with suppress(VepeError):
            self.store.remove(self.name)


@dataclass(frozen=True)
class SegmentFile:
    """One segment of a video, in a file or an object."""

    folder: SegmentFolder
    segment: Segment

    @property
    def name(self) -> str:
        part = self.segment
        return f"{part.index:05d}-of-{part.count:05d}-{part.start_s:.6f}.npz"

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    @property
    def _object(self) -> str:
        return f"{self.folder.name}/{self.name}"

    def exists(self) -> bool:
        """Whether it was written; that it is whole, too, as files are never half written."""
        store = self.folder.store
        return self.path.is_file() if store is None else store.exists(self._object)

    def write(
        self, frames: Iterable[InferredFrame], *, warning: str | None, incomplete: bool
    ) -> None:
        """Writes the frames of a segment, with those behind its end.

        Args:
            frames: in order.
            warning, incomplete: of the source, as `VideoSource` has them.

        Raises:
            VepeError: where it cannot be written.
        """
        frames = list(frames)
        poses = [frame.poses for frame in frames]
        arrays = {
            "about": np.array(json.dumps({"warning": warning, "incomplete": incomplete})),
            "frame_index": np.array([p.frame_index for p in poses], np.int64),
            "time_s": np.array([p.time_s for p in poses], np.float64),
            "cut": np.array([frame.cut for frame in frames], np.bool_),
            "people": np.array([len(p) for p in poses], np.int64),
        }
        if poses:
            arrays |= {name: np.concatenate([getattr(p, name) for p in poses]) for name in _FIELDS}
            embeddings = [p.embeddings for p in poses if p.embeddings is not None]
            if embeddings:
                arrays["embeddings"] = np.concatenate(embeddings)
        store = self.folder.store
        if store is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
            store.write(self._object, buffer.getvalue())
            return
        with replacing(self.path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @cached_property
    def about(self) -> tuple[str | None, bool]:
        """`warning` and `incomplete` of the source. Raises VepeError where it cannot be read."""
        about = json.loads(str(self._read("about")["about"]))
        return about["warning"], bool(about["incomplete"])

    @cached_property
    def frames_at(self) -> list[tuple[int, float]]:
        """Index and time in seconds of every frame, those behind the end of the segment, too."""
        arrays = self._read("frame_index", "time_s")
        return list(zip(arrays["frame_index"].tolist(), arrays["time_s"].tolist(), strict=True))

    @property
    def num_own(self) -> int:
        """How many of the frames lie before the end of the segment."""
        end_s = self.segment.end_s
        return sum(end_s is None or time_s < end_s for _, time_s in self.frames_at)

    def read(self) -> Iterator[InferredFrame]:
        """All frames in order. Raises VepeError where the file cannot be read."""
        arrays = self._read()
        ends = np.cumsum(arrays["people"]).tolist()
        embeddings = arrays.get("embeddings")
        for i, (index, time_s) in enumerate(self.frames_at):
            rows = slice(ends[i - 1] if i else 0, ends[i])
            poses = FramePoses(
                frame_index=index,
                time_s=time_s,
                embeddings=None if embeddings is None else embeddings[rows],
                **{name: arrays[name][rows] for name in _FIELDS},
            )
            yield InferredFrame(poses, bool(arrays["cut"][i]))

    def _read(self, *names: str) -> dict[str, np.ndarray]:
        store = self.folder.store
        try:
            source = self.path if store is None else io.BytesIO(store.read(self._object))
            with np.load(source, allow_pickle=False) as stored:
                return {name: stored[name] for name in names or stored.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            self._discard()  # the next attempt infers it again
            raise VepeError(
                f"The segment '{self.name}' in '{self.folder.name}' cannot be read ({error}); it "
                "will be inferred again."
            ) from error

    def _discard(self) -> None:
        if self.folder.store is None:
            self.path.unlink(missing_ok=True)
        else:
            self.folder.store.remove(self._object)


_FIELDS = ("keypoints_px", "keypoint_scores", "scores", "track_ids")
