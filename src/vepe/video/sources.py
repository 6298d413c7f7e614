"""What the arguments of `vepe track` name: files, folders, patterns, lists, cameras, addresses.

Only names are looked at: nothing is opened but lists, so that thousands of videos are listed at
once.
"""

from __future__ import annotations

import glob
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vepe.config.documents import MAX_YAML_BYTES, read_limited
from vepe.errors import VepeError, printable
from vepe.video.container import public_name
from vepe.video.images import (
    VIDEO_SUFFIXES,
    is_animated,
    is_animated_png,
    is_image_file,
    natural_key,
)
from vepe.video.reader import SCREEN, is_address
from vepe.video.remote_files import is_remote_file, list_remote
from vepe.video.web_page import page_name

STDIN = "-"
LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class NamedSource:
    """One video: `source` as `open_video` takes it (or `STDIN`), and the name of its results.

    `copy` is the file with the video of stdin, see `with_stdin_as_file`.
    """

    source: str
    name: str
    copy: Path | None = None

    @property
    def location(self) -> str:
        """What to open."""
        return self.source if self.copy is None else str(self.copy)

    @property
    def path(self) -> Path | None:
        """The file or folder, where it is one."""
        if self.source == STDIN or is_address(self.source) or is_remote_file(self.source):
            return None
        path = Path(self.source)
        return path if path.exists() else None

    def check(self) -> None:
        """Raises VepeError where it is plain that there is no such video."""
        if self.source in (STDIN, SCREEN) or is_address(self.source) or self.source.isdecimal():
            return
        if is_remote_file(self.source):
            return
        if not Path(self.source).exists():
            raise VepeError(f"There is no file or folder '{self.source}'; check the path.")


@dataclass(frozen=True)
class SourceList:
    """The videos of a call.

    Attributes:
        sources: each once, in the order of the arguments, with names that differ.
        notes: sentences about what was left out.
        several: whether a list of videos was asked for, even if it holds one.
    """

    sources: tuple[NamedSource, ...]
    notes: tuple[str, ...]
    several: bool


def list_sources(arguments: Sequence[str]) -> SourceList:
    """The videos that arguments name.

    An argument is a video file; a folder, which is one video if it holds frames, and many if it
    holds videos; a pattern such as `clips/*.mp4`; a `.txt` file with one of these on each line,
    relative to its folder; `-`; a camera's number; `screen`; or an address. What does not exist
    stays in the list, and fails when it is opened.

    Raises:
        VepeError: if a pattern matches no video, a list cannot be read, or images are given one by
            one.
    """
    expansion = _Expansion()
    for argument in arguments:
        expansion.add(argument)
    if not expansion.sources:
        raise VepeError(f"'{arguments[0]}' names no video; give at least one.")
    several = expansion.several or len(expansion.sources) > 1
    if expansion.sources.count(STDIN) and several:
        raise VepeError("stdin (-) holds one video; give it alone.")
    names = unique_names(expansion.sources)
    pairs = zip(expansion.sources, names, strict=True)
    return SourceList(tuple(NamedSource(*pair) for pair in pairs), tuple(expansion.notes), several)


def result_name(source: str) -> str:
    """Name of the results of a source, without ending."""
    if source == STDIN:
        return "stdin"
    if is_address(source):  # the last part, or the host where there is none
        name = page_name(source) or Path(public_name(source).partition("?")[0].rstrip("/")).stem
        return re.sub(r"[^\w.-]+", "_", name).strip("._") or "video"
    path = Path(source)
    if path.is_dir():
        return path.absolute().name or "video"
    if source.isdecimal() and not path.exists():
        return f"camera{int(source)}"
    return path.stem or "video"


def unique_names(sources: Sequence[str]) -> list[str]:
    """A name for the results of each source; those of one name get their ending or folder.

    `a/run.mp4` and `b/run.mp4` become `a_run` and `b_run`; `run.mp4` and `run.mov` become
    `run_mp4` and `run_mov`.
    """
    names = [result_name(source) for source in sources]
    same = {name for name, count in Counter(n.lower() for n in names).items() if count > 1}
    for name in same:  # some file systems ignore case
        at = [
            i for i, own in enumerate(names) if own.lower() == name and not is_address(sources[i])
        ]
        if len(at) > 1:
            for i, longer in zip(at, _longer_names([sources[i] for i in at]), strict=True):
                names[i] = longer
    taken: set[str] = set()
    for i, name in enumerate(names):
        number, candidate = 1, name
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        names[i] = candidate
    return names


def _longer_names(sources: list[str]) -> list[str]:
    """Names for sources that share a short one: with their ending, or with the folders above."""
    paths = [Path(source).absolute() for source in sources]
    endings = {path.suffix.lower() for path in paths}
    names = [result_name(source) for source in sources]
    if len(endings) > 1:
        names = [path.name.replace(".", "_") for path in paths]
    for depth in range(max(len(path.parts) for path in paths)):
        above = [path.parts[max(1, len(path.parts) - 1 - depth) : -1] for path in paths]
        longer = ["_".join([*parts, name]) for parts, name in zip(above, names, strict=True)]
        if len({name.lower() for name in longer}) == len(longer):
            return longer
    return names


class _Expansion:
    """The arguments so far, as a flat list."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.notes: list[str] = []
        self.several = False
        self._seen: set[str] = set()

    def add(self, argument: str, folder: Path | None = None) -> None:
        """Adds what an argument names; `folder` is that of the list it stands in."""
        path = Path(argument) if folder is None else folder / argument
        if argument in (STDIN, SCREEN) or is_address(argument):
            self._append(argument)
        elif is_remote_file(argument):
            addresses = list_remote(argument)
            self.several = self.several or addresses != [argument]
            for address in addresses:
                self._append(address)
        elif path.is_dir():
            self._add_folder(path)
        elif folder is None and path.suffix.lower() == LIST_SUFFIX and path.is_file():
            self._add_list(path)
        elif not path.exists() and glob.has_magic(argument):
            self._add_pattern(str(path))
        elif not path.exists() and argument.isdecimal():
            self._append(argument)
        else:
            self._append(str(path))

    def _append(self, source: str) -> None:
        path = Path(source)
        key = str(path.resolve()) if source != STDIN and path.exists() else source
        if key not in self._seen:
            self._seen.add(key)
            self.sources.append(source)

    def _add_folder(self, folder: Path) -> None:
        """A folder with more videos than images is a batch; otherwise it is one video."""
        try:
            files = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
        except OSError as error:
            raise VepeError(f"'{folder}' may not be read ({error.strerror}).") from None
        videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
        images = [p for p in files if is_image_file(p)]
        if len(videos) < max(len(images), 1):
            if videos:
                taken = f"{_counted(images, 'image')} {_are(images)} tracked as one video"
                self._note_mixed(folder, taken, videos, "video")
            self._append(str(folder))
            return
        if images:
            taken = f"{_counted(videos, 'video')} {_are(videos)} tracked"
            self._note_mixed(folder, taken, images, "image")
        self.several = True
        for path in sorted(videos, key=lambda p: (natural_key(p), p.name)):
            self._append(str(path))

    def _note_mixed(self, folder: Path, taken: str, left: Sequence[Path], what: str) -> None:
        it = "it" if len(left) == 1 else "them"
        self.notes.append(
            f"Of '{folder}', {taken}; {_counted(left, what)} {_are(left)} left out: to track {it}, "
            f"use a folder of {what}s alone."
        )

    def _add_pattern(self, pattern: str) -> None:
        matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207
        matches.sort(key=lambda p: (str(p.parent), natural_key(p), p.name))
        videos = [p for p in matches if p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES]
        if not videos:
            if any(is_image_file(path) for path in matches):
                raise VepeError(
                    f"'{pattern}' matches images; give their folder to track them as the frames "
                    "of one video, or use `vepe predict` for single images."
                )
            raise VepeError(f"No video matches '{pattern}'; check the pattern.")
        self.several = True
        if left := len(matches) - len(videos):
            self.notes.append(
                f"'{pattern}' also matches {left} {'file' if left == 1 else 'files'} without the "
                "ending of a video, left out; to track one, name it."
            )
        for path in videos:
            self._add_folder(path) if path.is_dir() else self._append(str(path))

    def _add_list(self, path: Path) -> None:
        try:
            raw = read_limited(path)
            lines = raw.decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            raise VepeError(
                f"'{path}' is no list of videos; write one file, folder or address per line, in "
                "UTF-8."
            ) from None
        if len(raw) > MAX_YAML_BYTES:
            raise VepeError(f"The list '{path}' is too long; divide it, or name a folder.")
        self.several = True
        entries = [line.strip() for line in lines]
        for number, entry in enumerate(entries, start=1):
            if not entry or entry.startswith("#"):
                continue
            if printable(entry, lines=True) != entry or entry == STDIN:
                raise VepeError(f"Line {number} of '{path}' names no video; check the list.")
            self.add(entry, path.parent)


def _are(items: Sequence[Path]) -> str:
    return "is" if len(items) == 1 else "are"


def _counted(items: Iterable[object], what: str) -> str:
    count = len(list(items))
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size_of(source: NamedSource) -> int:
    """Bytes of a video's files; 0 where they are not known."""
    path = source.path
    try:
        if path is None:
            return 0
        if path.is_dir():
            return sum(p.stat().st_size for p in path.iterdir() if p.is_file())
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def with_stdin_as_file(source: NamedSource) -> Iterator[NamedSource]:
    """The source, where it is stdin with its video in a temporary file: most containers need to be
    searched, which a pipe does not allow.

    Raises:
        VepeError: if stdin is a terminal or empty, or there is no space for the file.
    """
    if source.source != STDIN:
        yield source
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise VepeError("'-' reads a video from stdin; pipe one: cat video.mp4 | vepe track -.")
    with tempfile.TemporaryDirectory(prefix="vepe-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        if not copy.stat().st_size:
            raise VepeError("stdin is empty (0 bytes); pipe a video: cat video.mp4 | vepe track -.")
        yield replace(source, copy=copy)


def refuse_single_images(arguments: Sequence[str]) -> None:
    """Raises VepeError where arguments are images, unless it is one animation."""
    images = [argument for argument in arguments if is_image_file(Path(argument))]
    first = Path(images[0]) if images else None
    # A damaged animation of PNG can be tracked, even where Pillow cannot open it.
    if first is None or (len(arguments) == 1 and (is_animated_png(first) or is_animated(first))):
        return
    if len(images) == 1:
        raise VepeError(
            f"'{images[0]}' is a single image; for its poses: vepe predict '{images[0]}' -o "
            f"{Path(images[0]).stem}.json --draw drawn."
        )
    raise VepeError(
        f"'{images[0]}' and {len(images) - 1} more are images; give their folder to track them as "
        "the frames of one video, or use `vepe predict` for single images."
    )
