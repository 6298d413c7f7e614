"""Headers of model files that state what no honest one does are one sentence."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.inference.model_files import read_metadata


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": {"data_offsets": []}}',
        b'{"a": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}",
        b'{"a": {"data_offsets": 3}}',
        b'{"__metadata__": 3}',
        b"[1, 2]",
        b'{"a": null}',
        b"\xff\xfe",
    ],
)
def test_odd_safetensors_headers(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(VepeError, match=r"a\.safetensors"):
        read_metadata(path)


@pytest.mark.parametrize(
    "raw",
    [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 20],
)
def test_odd_onnx_fields(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(raw)
    with pytest.raises(VepeError, match=r"a\.onnx"):
        read_metadata(path)
