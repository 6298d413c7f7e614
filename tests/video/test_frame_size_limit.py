"""A video's stated frame size is checked before a frame is decoded."""

import struct
from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.video.file import FileSource
from vepe.video.source import Span


def test_gif_that_states_a_huge_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    size = struct.pack("<HH", 11000, 11000)
    image = b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x4c\x01\0"
    path.write_bytes(b"GIF89a" + size + b"\x80\0\0" + b"\0" * 3 + b"\xff" * 3 + image * 3 + b";")
    with pytest.raises(VepeError, match="11000 x 11000"):
        FileSource(path, Span())
