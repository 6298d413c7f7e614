"""Single pictures: listing them in natural order, reading them upright as RGB."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from vepe.errors import VepeError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}
)
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
"""The only Pillow formats that are opened; others, such as EPS, start external programs."""
MAX_IMAGE_PIXELS = 100_000_000
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})


def is_image_file(path: Path) -> bool:
    """Whether the path is a file that is named like a picture."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `img2` before `img10`; upper and lower case are one."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p)


def list_images(source: str | Path) -> list[Path]:
    """The pictures of a folder in natural order (not of its subfolders), or the one file given.

    Hidden files are passed over. A file is taken whatever its name; `read_image` judges it.

    Raises:
        VepeError: where nothing is there, it may not be read, or the folder holds no picture.
    """
    path = Path(source)
    if not path.exists():
        raise VepeError(f"There is no file or folder '{path}'; check the path.")
    if not path.is_dir():
        return [path]
    try:
        files = [p for p in path.iterdir() if is_image_file(p) and not p.name.startswith(".")]
    except PermissionError:
        raise VepeError(f"'{path}' may not be read; check its permissions.") from None
    if not files:
        raise VepeError(f"The folder '{path}' holds no pictures; give one with jpg or png files.")
    return sorted(files, key=lambda p: (natural_key(p), p.name))


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """The picture as RGB, turned upright by its EXIF orientation; transparency is dropped.

    Raises:
        VepeError: where it is missing, empty, barred, damaged or no picture.
    """
    path = Path(path)
    with open_image(path) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                # 16-bit grey: Pillow's own conversion would clip it to white.
                grey = np.asarray(upright).astype(np.int64).clip(0, 65535) >> 8
                return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
            return np.array(upright.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            raise VepeError(f"The picture '{path}' is damaged or cut off; replace it.") from None


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright picture, from its header alone.

    Raises:
        VepeError: as `read_image`.
    """
    with open_image(Path(path)) as image:
        width, height = image.size
        sideways = image.getexif().get(_EXIF_ORIENTATION) in _SIDEWAYS
    return (height, width) if sideways else (width, height)


def open_image(path: Path, *, max_pixels: int = MAX_IMAGE_PIXELS) -> Image.Image:
    """Opens an image of one of `IMAGE_FORMATS` without decoding it.

    Raises:
        VepeError: where it is missing, unreadable, of another format, or its header states more
            than `max_pixels` pixels.
    """
    if path.is_dir():
        raise VepeError(f"'{path}' is a folder, not a picture; give a picture file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=IMAGE_FORMATS)
        if image.width * image.height > max_pixels:
            image.close()
            raise VepeError(
                f"The image '{path}' has {image.width} x {image.height} pixels, more than the "
                f"limit of {max_pixels}; scale it down."
            )
        return image
    except FileNotFoundError:
        raise VepeError(f"There is no picture '{path}'; check the path.") from None
    except PermissionError:
        raise VepeError(f"'{path}' may not be read; check its permissions.") from None
    except Image.DecompressionBombError:
        raise VepeError(f"The picture '{path}' is too large to be read; scale it down.") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        size = path.stat().st_size
        what = "is empty (0 bytes)" if size == 0 else "is not a picture, or is damaged"
        raise VepeError(f"'{path}' {what}; give a picture such as jpg or png.") from None
