"""Where the images of a data set lie, and whether each can be read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vepe.formats.data_paths import is_inside
from vepe.image_header import image_header

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_JPEG_TAIL = 4096
"""Bytes at the end of a JPEG in which its end marker must lie; some cameras append data to it."""


@dataclass
class ImageFinder:
    """Finds images by the names that annotation files give them.

    `root` is the folder of the data set. Names are tried below it, below its subfolders, and
    below the folders above the annotation file.
    """

    root: Path
    _folders: list[Path] = field(default_factory=list)

    def base_for(self, annotation_file: Path, names: list[str]) -> Path | None:
        """The folder that contains the first of these names that exists, or None."""
        for name in names:
            for folder in self._candidates(annotation_file):
                if name and is_inside(folder, name) and (folder / name).is_file():
                    return folder
        return None

    def _candidates(self, annotation_file: Path) -> list[Path]:
        if not self._folders:
            near = [self.root, self.root / "images"]
            below = [d for base in near if base.is_dir() for d in sorted(base.iterdir())]
            self._folders = near + [d for d in below if d.is_dir()]
        above = [p for p in annotation_file.parents if self.root in (p, *p.parents)]
        return [*self._folders, *above, *(p / "images" for p in above)]


def image_problem(path: Path, *, decode: bool) -> tuple[str | None, tuple[int, int] | None]:
    """What is wrong with an image (None: nothing), and its width and height if decoded.

    JPEG and PNG files that are cut off are recognised by their missing end, because decoders fill
    the rest with grey. With `decode=False` only the beginning and the end are inspected.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})", None
    if not raw:
        return "is empty", None
    if is_cut_off(raw):
        return "is cut off", None
    if not decode:
        return None, None
    header = image_header(raw)
    if isinstance(header, str):
        return header, None
    import cv2
    import numpy as np

    image = None
    with suppress(cv2.error, MemoryError):
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if image is None:
        return "is not a readable image", None
    return None, header


def is_cut_off(raw: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; decoders fill the rest with grey."""
    if raw[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in raw[-_JPEG_TAIL:]
    return raw[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in raw[-_JPEG_TAIL:]
