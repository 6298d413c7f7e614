"""Where the pictures of a data set lie, and whether each can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vepe.formats.files import is_inside

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_JPEG_TAIL = 4096
"""Bytes at the end of a JPEG in which its end mark must stand; some cameras write behind it."""


@dataclass
class PictureFinder:
    """Finds pictures by the names that annotation files give them.

    `root` is the folder of the data set. Names are tried below it, below its subfolders, and
    below the folders above the annotation file; the first place that works is kept per file.
    """

    root: Path
    _places: list[Path] = field(default_factory=list)

    def base_for(self, annotation_file: Path, names: list[str]) -> Path | None:
        """The folder below which the first of these names that is found lies, or None."""
        for name in names:
            for place in self._candidates(annotation_file):
                if name and is_inside(place, name) and (place / name).is_file():
                    return place
        return None

    def _candidates(self, annotation_file: Path) -> list[Path]:
        if not self._places:
            near = [self.root, self.root / "images"]
            below = [d for base in near if base.is_dir() for d in sorted(base.iterdir())]
            self._places = near + [d for d in below if d.is_dir()]
        above = [p for p in annotation_file.parents if self.root in (p, *p.parents)]
        return [*self._places, *above, *(p / "images" for p in above)]


def has_pictures(folder: Path) -> bool:
    """Whether any picture lies in this folder or below."""
    return any(f.suffix.lower() in PICTURE_SUFFIXES for f in folder.rglob("*"))


def picture_trouble(path: Path, *, decode: bool) -> tuple[str | None, tuple[int, int] | None]:
    """What is wrong with a picture (None: nothing), and its width and height where decoded.

    JPEG and PNG files that are cut off are found by their missing end, because decoders fill the
    rest with grey. With `decode=False` only the beginning and the end are looked at.
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
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if image is None:
        return "is no readable picture", None
    return None, _size(raw)


def is_cut_off(raw: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; decoders fill the rest with grey."""
    if raw[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in raw[-_JPEG_TAIL:]
    return raw[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in raw[-_JPEG_TAIL:]


def _size(raw: bytes) -> tuple[int, int] | None:
    """Width and height from the header (the picture was decoded at an eighth, for speed)."""
    if raw[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    position = 2
    while raw[:2] == b"\xff\xd8" and position + 9 < len(raw):
        marker, length = raw[position + 1], int.from_bytes(raw[position + 2 : position + 4], "big")
        if raw[position] != 0xFF:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(raw[position + 5 : position + 7], "big")
            return int.from_bytes(raw[position + 7 : position + 9], "big"), height
        position += 2 + length
    return None
