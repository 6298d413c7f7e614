"""What the header of an image states, checked before anything is decoded."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from vepe.limits import limit

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
"""The only Pillow formats that are opened; others, such as EPS, start external programs."""


def allow_large_images() -> int:
    """The most pixels of an image; Pillow's own limit is raised with ours."""
    from PIL import Image

    pixels = limit("VEPE_MAX_PIXELS")
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = pixels
    return pixels


def image_header(source: Path | bytes) -> tuple[int, int] | str:
    """Width and height of an image (not turned upright), or what is wrong with it.

    What is wrong continues a sentence, as "is not a readable image" does.

    Raises:
        FileNotFoundError, PermissionError: of a file.
    """
    from PIL import Image

    max_pixels = allow_large_images()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(opened, formats=IMAGE_FORMATS) as image:
                width, height = image.size
    except (FileNotFoundError, PermissionError):
        raise
    except Image.DecompressionBombError:
        return f"has more than {max_pixels} pixels"
    except Exception:  # Pillow raises many kinds for a damaged header
        return "is not a readable image"
    if width * height > max_pixels:
        return f"has {width} x {height} pixels, more than the limit of {max_pixels}"
    return width, height
