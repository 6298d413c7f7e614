"""Image files: listing them in natural order, reading them upright as RGB, and as one video.

A folder of images is a video with a constant frame rate; an animated image is one with its own
times.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from vepe.errors import VepeError, VepeWarning, check_name
from vepe.image_header import IMAGE_FORMATS, allow_large_images
from vepe.limits import advice
from vepe.types import Frame, VideoInfo
from vepe.video.frame_names import listing_notes
from vepe.video.source import Span, VideoSource

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".vob"}
)
_ANIMATED_FORMATS = frozenset({"PNG", "WEBP", "GIF"})
_MIN_DURATION_S = 0.02
"""Browsers show frames that state a shorter time, or none, for a tenth of a second."""
_DEFAULT_DURATION_S = 0.1
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_TURNS = {n: Image.Transpose(t) for n, t in enumerate((0, 3, 1, 5, 4, 6, 2), start=2)}
"""What makes each EXIF orientation upright."""


def is_image_file(path: Path) -> bool:
    """Whether the path is a file with the suffix of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `img2` before `img10` and ignores case."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p)


def list_images(source: str | Path) -> list[Path]:
    """The images of a folder in natural order (not of its subfolders), or the file itself.

    Hidden files are skipped. A single file may have any name.

    Raises:
        VepeError: if the path does not exist, may not be read, or the folder has no image; or the
            name of an image in it is not UTF-8.
    """
    path = Path(source)
    if not path.exists():
        raise VepeError(f"There is no file or folder '{path}'; check the path.")
    if not path.is_dir():
        return [path]
    try:
        entries = [p for p in path.iterdir() if not p.name.startswith(".")]
    except PermissionError:
        raise VepeError(f"'{path}' may not be read; check its permissions.") from None
    entries.sort(key=lambda p: (natural_key(p), p.name))
    files = [p for p in entries if is_image_file(p) or _is_dangling_image(p)]
    if not files:
        raise VepeError(f"The folder '{path}' holds no images{_instead(entries)}")
    for file in files:
        check_name(file.name)
    return files


def _is_dangling_image(path: Path) -> bool:
    """Whether it is a link, named like an image, to a file that does not exist."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_symlink() and not path.exists()


def _instead(entries: list[Path]) -> str:
    """End of the sentence about a folder without images: what it holds, and what helps."""
    videos = [p for p in entries if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    if videos:
        what = "a video" if len(videos) == 1 else f"{len(videos)} videos"
        return f", but {what}; for videos: vepe track '{videos[0].parent}'."
    for folder in (p for p in entries if p.is_dir()):
        with suppress(OSError):
            if any(is_image_file(p) for p in folder.iterdir()):
                return f", but its subfolders do; give them as '{folder.parent}/*'."
    return "; give one with jpg or png files."


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """The image as RGB, turned upright by its EXIF orientation; transparency is dropped.

    Of an animated image this is the first frame, of a TIFF with several pages the first page, and
    a `VepeWarning` says so.

    Raises:
        VepeError: if it is missing, empty, unreadable, damaged or not an image.
    """
    path = Path(path)
    with open_image(path) as image:
        if num_frames(image) > 1:
            message = f"'{path}' is animated; only its first frame is used. Track it as a video."
            warnings.warn(message, VepeWarning, stacklevel=2)
        elif isinstance(image, TiffImageFile) and image.tag_v2.next:
            message = f"'{path}' has several pages; only the first is used."
            warnings.warn(message, VepeWarning, stacklevel=2)
        return _upright_rgb(image, path)


def is_animated(path: Path) -> bool:
    """Whether the file is an image with several frames. Raises VepeError as `read_image`."""
    with open_image(path) as image:
        return num_frames(image) > 1


def is_animated_png(path: Path) -> bool:
    """Whether the file begins as an animated PNG does, whatever else is wrong with it."""
    with path.open("rb") as file:
        start = file.read(4096)
    return start.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in start.partition(b"IDAT")[0]


def num_frames(image: Image.Image) -> int:
    """Number of frames of an animated PNG, WebP or GIF; 1 for all other images."""
    if image.format not in _ANIMATED_FORMATS:
        return 1
    return getattr(image, "n_frames", 1)


def _upright_rgb(image: Image.Image, path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """The present frame of an open image; `path` is for messages."""
    try:
        image.load()
        turn = _TURNS.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
        if upright.mode[0] in "IF":
            return np.repeat(_grey_8bit(upright)[:, :, None], 3, axis=2)
        return np.array(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError):
        raise VepeError(f"The image '{path}' is damaged or cut off; replace it.") from None


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where it is missing or broken."""
    with suppress(Exception):  # of a PNG also broken pixels, which reading reports
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    return 1


def _grey_8bit(image: Image.Image) -> UInt8[np.ndarray, "H W"]:
    """Grey of 16 or 32 bits in 8 bits; Pillow's own conversion clips it to white or black.

    32 bits do not say which range they use, so the largest value does: 1 (floats), 255, 65,535, or
    itself.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F" and top <= 1:
        scale = 255.0
    elif top <= 255:
        scale = 1.0
    else:
        scale = 1 / 256 if top <= 65_535 else 255 / top
    return (values * scale).clip(0, 255).astype(np.uint8)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright image, from its header alone.

    Raises:
        VepeError: see `read_image`.
    """
    with open_image(Path(path)) as image:
        width, height = image.size
        sideways = _orientation(image) in _SIDEWAYS
    return (height, width) if sideways else (width, height)


def open_image(path: Path) -> Image.Image:
    """Opens an image of one of `IMAGE_FORMATS` without decoding it.

    Raises:
        VepeError: if it is missing, unreadable, of another format, or its header states more
            pixels than VEPE_MAX_PIXELS.
    """
    max_pixels = allow_large_images()
    if path.is_dir():
        raise VepeError(f"'{path}' is a folder, not an image; give an image file.")
    if path.is_symlink() and not path.exists():
        raise VepeError(
            f"'{path}' is a link to a file that does not exist; restore the file, or remove the "
            "link."
        )
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise VepeError(f"'{path}' is no regular file; give an image such as jpg or png.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=IMAGE_FORMATS)
        if image.width * image.height > max_pixels:
            image.close()
            raise VepeError(
                f"The image '{path}' has {image.width} x {image.height} pixels, more than the "
                f"limit; scale it down, {advice('VEPE_MAX_PIXELS')}."
            )
        return image
    except FileNotFoundError:
        raise VepeError(f"There is no image '{path}'; check the path.") from None
    except PermissionError:
        raise VepeError(f"'{path}' may not be read; check its permissions.") from None
    except Image.DecompressionBombError:
        raise VepeError(
            f"The image '{path}' has too many pixels; scale it down, {advice('VEPE_MAX_PIXELS')}."
        ) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        size = path.stat().st_size
        what = "is empty (0 bytes)" if size == 0 else "is not an image, or is damaged"
        raise VepeError(f"'{path}' {what}; give an image such as jpg or png.") from None


class FolderSource(VideoSource):
    """Images in natural order as the frames of one video, at a constant `fps`.

    All headers are read at once, so that an image of another size is found before the work
    begins, not an hour later. Damaged images are skipped; the others keep their times.

    Raises:
        VepeError: if there are no images, none can be read, or two differ in size.
    """

    def __init__(self, path: Path, span: Span, fps: float) -> None:
        self._paths = list_images(path)
        self._span = span
        self._closed = threading.Event()
        self._notes = listing_notes(self._paths)
        width, height = self._common_size(path)
        count = span.frame_count(len(self._paths), fps)
        if count == 0:
            raise VepeError(
                f"No image of '{path}' lies in the span ({len(self._paths)} images at {fps:g} per "
                "second); give an earlier start or a later end."
            )
        self.info = VideoInfo(
            name=path.absolute().name,
            width=width,
            height=height,
            fps=fps,
            frame_count=count,
            path=path if path.is_file() else None,
        )

    def _common_size(self, path: Path) -> tuple[int, int]:
        """Width and height of all images whose header can be read."""
        first: tuple[Path, tuple[int, int]] | None = None
        error: VepeError | None = None
        for file in self._paths:
            try:
                size = image_size(file)
            except VepeError as caught:
                error = error or caught
                continue
            first = first or (file, size)
            width, height = first[1]
            if size != (width, height):
                raise VepeError(
                    f"The images of '{path}' differ in size: '{first[0].name}' is "
                    f"{width}x{height}, '{file.name}' is {size[0]}x{size[1]}; give frames of one "
                    "size."
                )
        if first is None:
            assert error is not None
            raise error
        return first[1]

    def __iter__(self) -> Iterator[Frame]:
        self.warning, self.incomplete = " ".join(self._notes) or None, False
        num_read = 0
        errors: list[VepeError] = []
        for index, path in enumerate(self._paths):
            time_s = index / self.info.fps
            if self._closed.is_set() or self._span.is_over(time_s):
                break
            if not self._span.includes(index, time_s):
                continue
            try:
                image = read_image(path)
            except VepeError as error:
                errors.append(error)
                self.warning = " ".join([*self._notes, self._damage(errors)])
                self.incomplete = True
                continue
            num_read += 1
            yield Frame(index, time_s, image, path.name)
        if errors and not num_read:
            raise errors[0]

    def _damage(self, errors: list[VepeError]) -> str:
        """What is missing, in one or two sentences."""
        others = f" {len(errors) - 1} more cannot be read either." if len(errors) > 1 else ""
        return f"{errors[0]}{others} The results lack {len(errors)} of {len(self._paths)} images."

    def close(self) -> None:
        """Ends a running iteration at its next frame."""
        self._closed.set()


class AnimationSource(VideoSource):
    """The frames of an animated PNG or WebP, at the times that the file states.

    Attributes:
        num_readable, num_damaged: how many frames can be read, and how many cannot.

    Raises:
        VepeError: if it cannot be read, or ends before the span starts.
    """

    time_base = Fraction(1, 1000)

    def __init__(self, path: Path, span: Span) -> None:
        self._path = path
        self._span = span
        self._closed = threading.Event()
        with open_image(path) as image:
            total = num_frames(image)
        width, height = image_size(path)
        durations = [duration for _, duration in self._frames()]
        duration_s = sum(durations)
        self.num_readable, self.num_damaged = len(durations), total - len(durations)
        fps = total / duration_s if duration_s else 1 / _DEFAULT_DURATION_S
        if duration_s and span.start_s >= duration_s:
            raise VepeError(
                f"'{path}' ends at {duration_s:.2f} s, before the start at {span.start_s:g} s; "
                "give an earlier start."
            )
        count = span.frame_count(total, fps)
        self.info = VideoInfo(path.name, width, height, fps, count, path)

    def _frames(self) -> Iterator[tuple[np.ndarray, float]]:
        """Images and how long each is shown, in seconds; ends at the first damaged one."""
        with open_image(self._path) as image:
            for index in range(num_frames(image)):
                try:
                    image.seek(index)
                    rgb = _upright_rgb(image, self._path)
                except (OSError, ValueError, SyntaxError, EOFError, VepeError):
                    return
                duration_s = float(image.info.get("duration") or 0) / 1000
                yield rgb, duration_s if duration_s >= _MIN_DURATION_S else _DEFAULT_DURATION_S

    def __iter__(self) -> Iterator[Frame]:
        self.warning, self.incomplete = None, False
        with open_image(self._path) as image:
            total = num_frames(image)
        time_s, index = 0.0, 0
        for index, (rgb, duration_s) in enumerate(self._frames()):
            if self._closed.is_set() or self._span.is_over(time_s):
                return
            if self._span.includes(index, time_s):
                yield Frame(index, time_s, rgb)
            time_s = round(time_s + duration_s, 6)
        if index + 1 < total:
            self.incomplete = True
            self.warning = (
                f"'{self._path}' is damaged: {total - index - 1} of its {total} frames cannot be "
                "read; they are missing from the results."
            )

    def close(self) -> None:
        """Ends a running iteration at its next frame."""
        self._closed.set()
