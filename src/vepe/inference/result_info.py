"""The `info` block of a result: of which video, by which model and options, and whether complete.

It makes a result its own manifest: with the same video, model and options, the file alone shows
that there is nothing to do, on this machine or on another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vepe import __version__
from vepe.errors import VepeError
from vepe.formats.files import load_json
from vepe.inference.model_files import read_metadata
from vepe.skeleton import Skeleton
from vepe.types import VideoInfo
from vepe.video.container import public_name
from vepe.video.images import list_images
from vepe.video.sources import NamedSource

ResultState = Literal["missing", "done", "unfinished", "different"]
"""`unfinished`: stopped or killed on the way to the same result; `different`: another result."""


def run_options(
    *,
    backend: str,
    conf: float,
    window: int | None,
    lookahead: int | None,
    input_px: int | None,
    smooth: str,
    start_s: float,
    end_s: float | None,
    stride: int,
    fps: float | None,
    changed: Mapping[str, Any],
) -> dict[str, Any]:
    """The options of a run as `RunInfo` takes them, equal for the command and for Python.

    `changed` holds those that only one of the two has, where they are not left as they are.
    """
    return {
        "backend": backend,
        "conf": conf,
        "window": window,
        "lookahead": lookahead,
        "input_px": input_px,
        "smooth": smooth,
        "start_s": start_s,
        "end_s": end_s,
        "stride": stride,
        "fps": fps,
        **changed,
    }


_START, _END = b'{"info": ', b"}]}\n"
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class RunInfo:
    """What decides the poses of a video, besides the video.

    Attributes:
        model: name of the weights, as the user gave it.
        weights_sha256: hash of their file; None for a model that was not loaded from a file.
        options: everything else, in values of JSON; None stands for the model's own value.
    """

    model: str
    weights_sha256: str | None
    options: Mapping[str, Any]

    @staticmethod
    def of(model: str, weights: Path, options: Mapping[str, Any]) -> RunInfo:
        """For weights in a file. Raises VepeError where it cannot be read, or is not whole."""
        read_metadata(weights)  # whatever else it is, and however large, is not read to its end
        try:
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise VepeError(f"'{weights}' cannot be read ({error.strerror}).") from None
        return RunInfo(model, digest, dict(options))

    def key(self, source: NamedSource) -> str:
        """Equal for two runs that give the same poses: a hash of model, options, version, video."""
        parts = [__version__, self.weights_sha256, dict(self.options), _identity(source)]
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def block(
        self,
        source: NamedSource,
        video: VideoInfo,
        skeleton: Skeleton,
        *,
        complete: bool,
        files: Mapping[str, int | None],
    ) -> dict[str, Any]:
        """The block of a result of `vepe track`.

        Args:
            source: what was tracked.
            video: what is known about it.
            skeleton: of the poses.
            complete: whether all of it was tracked.
            files: the other files of the result, in the same folder, with their bytes; None for a
                folder.
        """
        return {
            **self.describe(source, video, skeleton),
            "key": self.key(source),
            "complete": complete,
            "files": dict(files),
        }

    def describe(self, source: NamedSource, video: VideoInfo, skeleton: Skeleton) -> dict[str, Any]:
        """How the poses were made, without what `vepe track --resume` looks for.

        Poses in Python's memory have this much: they may be cut and changed before they are saved.
        """
        path = source.path
        return {
            "vepe": __version__,
            "source": {
                **_identity(source),
                "path": None if path is None else str(path.absolute()),
                # Whether the names of the frames are files: next to `path` then, else made up.
                "frames_are_files": path is not None and path.is_dir(),
                "fps": video.fps,
                "width": video.width,
                "height": video.height,
            },
            "model": {"name": self.model, "sha256": self.weights_sha256},
            "options": dict(self.options),
            "skeleton": {
                "name": skeleton.name,
                "keypoints": list(skeleton.keypoints),
                "edges": [list(edge) for edge in skeleton.edges],
            },
        }


def result_state(result: Path, key: str, required: list[Path]) -> ResultState:
    """What is known of an earlier result.

    Args:
        result: its JSON file.
        key: of the run that would write it, see `RunInfo.key`.
        required: the other files and folders that the run would write.
    """
    if not result.exists():
        return "missing"
    info = _info_at_start(result)
    if info is None:
        try:
            document = load_json(result)
        except VepeError:
            return "different"
        info = document.get("info") if isinstance(document, dict) else None
    existing = {path.name: bytes_of(path) for path in required if path.exists()}
    return _state(info, key, [path.name for path in required], existing)


def stored_result_state(
    name: str, key: str, required: Sequence[str], start: bytes, existing: Mapping[str, int | None]
) -> ResultState:
    """The same of a result in an object store, which holds whole objects alone.

    Args:
        name: of its JSON file.
        key: as `result_state`.
        required: names of the other files and folders.
        start: the first kilobytes of the JSON file.
        existing: what there is in the store, with bytes; None for a folder.
    """
    if name not in existing:
        return "missing"
    return _state(_parse_start(start), key, required, existing)


def _state(
    info: object, key: str, required: Iterable[str], existing: Mapping[str, int | None]
) -> ResultState:
    if not isinstance(info, dict) or info.get("key") != key:
        return "different"
    files = info.get("files")
    if info.get("complete") is not True or not isinstance(files, dict):
        return "unfinished"
    whole = all(n in files and n in existing and existing[n] == files[n] for n in required)
    return "done" if whole else "unfinished"


def _info_at_start(result: Path) -> dict[str, Any] | None:
    """The block of a result as `vepe track` writes it: first in the file, which ends as it should.

    Thousands of results are looked at before a batch goes on, and some have hundreds of megabytes.
    None where the file is another one, and has to be read whole.
    """
    try:
        with result.open("rb") as file:
            start = file.read(_HEAD_BYTES)
            file.seek(max(0, result.stat().st_size - len(_END)))
            end = file.read()
    except OSError:
        return None
    return _parse_start(start) if end == _END else None


def _parse_start(start: bytes) -> dict[str, Any] | None:
    if not start.startswith(_START):
        return None
    try:
        text = start.decode("utf-8", errors="ignore")
        info, _ = json.JSONDecoder().raw_decode(text, len(_START))
    except (ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None


def bytes_of(path: Path) -> int | None:
    """The size of a file; None for a folder."""
    return path.stat().st_size if path.is_file() else None


def _identity(source: NamedSource) -> dict[str, Any]:
    """What tells a video from another of its name, without reading it."""
    path = source.path
    if path is None:
        return {"name": public_name(source.source) if "://" in source.source else source.name}
    try:
        files = list_images(path) if path.is_dir() else [path]
        states = [file.stat() for file in files]
    except (OSError, VepeError):  # it fails, with its reason, when it is opened
        return {"name": path.name}
    return {
        "name": path.absolute().name,
        "bytes": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
        **({"images": len(files)} if path.is_dir() else {}),
    }
