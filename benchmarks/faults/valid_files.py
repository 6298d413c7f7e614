"""Whether a file that lies under its final name is whole, by its suffix."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from safetensors import safe_open


def problem_of(path: Path) -> str:
    """What is wrong with the file, in words that continue its name; empty if nothing is."""
    check = _CHECKS.get(path.suffix.lower())
    if check is None:
        return ""
    try:
        check(path)
    except Exception as error:
        return f"is not whole ({type(error).__name__}: {str(error)[:120]})"
    return ""


def _json(path: Path) -> None:
    json.loads(path.read_bytes())


def _json_lines(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def _video(path: Path) -> None:
    with av.open(str(path)) as container:
        if not sum(1 for _ in container.decode(video=0)):
            raise ValueError("no frames")


def _image(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _csv(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lengths = {len(row) for row in csv.reader(io.StringIO(text))}
    if text and (len(lengths) > 1 or not text.endswith("\n")):
        raise ValueError("rows differ in length")


def _lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        raise ValueError("the last line is cut off")


def _tar(path: Path) -> None:
    with tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None and len(stream.read()) != member.size:
                raise ValueError("a member is cut off")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise ValueError("a member is damaged")


def _safetensors(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (the file is no mapping)
            file.get_tensor(key)


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path) as file:
        file.visititems(lambda name, item: None)


def _onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(str(path)))


def _html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("the page is cut off")


def _yaml(path: Path) -> None:
    yaml.safe_load(path.read_text(encoding="utf-8"))


_CHECKS: dict[str, Callable[[Path], None]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".h5": _hdf5,
    ".slp": _hdf5,
    ".onnx": _onnx,
    ".nwb": _hdf5,
    ".mp4": _video,
    ".jpg": _image,
    ".png": _image,
    ".csv": _csv,
    ".txt": _lines,
    ".parquet": lambda path: pq.read_table(path).validate(),
    ".tar": _tar,
    ".zip": _zip,
    ".safetensors": _safetensors,
    ".pt": lambda path: torch.load(path, map_location="cpu", weights_only=True),
    ".html": _html,
    ".yaml": _yaml,
}
