"""What the header of an image states, checked before anything is decoded."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
"""The only Pillow formats that are opened; others, such as EPS, start external programs."""
MAX_IMAGE_PIXELS = 100_000_000
"""Larger images are refused: decoded, they would take gigabytes."""


def image_header(source: Path | bytes) -> tuple[int, int] | str:
    """Width and height of an image (not turned upright), or what is wrong with it.

    What is wrong continues a sentence, as "is not a readable image" does.

    Raises:
        FileNotFoundError, PermissionError: of a file.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(opened, formats=IMAGE_FORMATS) as image:
                width, height = image.size
    except (FileNotFoundError, PermissionError):
        raise
    except Image.DecompressionBombError:
        return f"has more than {MAX_IMAGE_PIXELS} pixels"
    except Exception:  # Pillow raises many kinds for a damaged header
        return "is not a readable image"
    if width * height > MAX_IMAGE_PIXELS:
        return f"has {width} x {height} pixels, more than the limit of {MAX_IMAGE_PIXELS}"
    return width, height
