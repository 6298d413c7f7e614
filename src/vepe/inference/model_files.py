"""Files of models: their names, where they are, and what they say of themselves; no torch.

A name is a preset whose files come with the package, a path, or an address on the Hugging Face hub.
Weights (`.safetensors`) and exported models (`.onnx`, OpenVINO's `.xml`) carry the same metadata:
`vepe_version`, `config` (a `ModelConfig` with skeleton and tracker settings) and `training` (data,
recipe). From the hub, only safetensors are downloaded, and no code is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

from vepe.config.base import SILENT
from vepe.config.documents import parse_json
from vepe.config.load import nearest, parse, preset_names
from vepe.config.model import ModelConfig
from vepe.errors import VepeError, missing_extra
from vepe.formats.files import as_path
from vepe.inference.upgrade import upgrade_config

SUFFIX = ".safetensors"
ONNX_SUFFIX, OPENVINO_SUFFIX = ".onnx", ".xml"
EXPORTED_SUFFIXES = (ONNX_SUFFIX, OPENVINO_SUFFIX)
PREFIX = "hf://"
DEFAULT_FILE = "model.safetensors"

MAX_HEADER_BYTES = 100_000_000
_MAX_XML_BYTES = 100_000_000
_MAX_ONNX_BYTES = 1 << 31
_METADATA_FIELD = 14  # metadata_props of ONNX's ModelProto

_PART = r"[\w][\w.-]*"
_ADDRESS = re.compile(
    rf"{PREFIX}(?P<repo>{_PART}/{_PART})(@(?P<revision>[\w./-]+?))?(/(?P<file>(?:{_PART}/)*"
    rf"{_PART}\.safetensors))?"
)


@dataclass(frozen=True)
class WeightsCard:
    """The metadata of a weights file, read without its tensors.

    Attributes:
        path: the file.
        version: VEPE version that wrote it.
        config: what the model is made of.
        training: data and recipe, as given to `save_weights`.
        bytes: size of the file.
    """

    path: Path
    version: str
    config: ModelConfig
    training: dict[str, Any]
    bytes: int


def read_card(name: str | Path) -> WeightsCard:
    """The metadata of weights or of an exported model; quick.

    Args:
        name: as `find_weights` takes it.

    Raises:
        VepeError: where there is no such file or preset, or the file is damaged.
    """
    path = find_weights(name)
    metadata = read_metadata(path)
    try:
        config = upgrade_config(dict(parse_json(metadata["config"], "config")))
        training = dict(parse_json(metadata["training"], "training"))
    except (KeyError, TypeError, ValueError, VepeError):
        raise VepeError(
            f"'{path}' has no VEPE configuration in its header, so its model is unknown; give "
            "weights that VEPE wrote."
        ) from None
    return WeightsCard(
        path,
        metadata.get("vepe_version", "unknown"),
        parse(ModelConfig, config, f"The configuration in '{path}'", SILENT),
        training,
        path.stat().st_size,
    )


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file. Raises VepeError where it is empty, cut off, or something else."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise VepeError(f"'{path}' is empty (0 bytes); download or train the weights again.")
        with path.open("rb") as file:
            if path.suffix == ONNX_SUFFIX:
                return dict(_onnx_properties(file, size))
            if path.suffix == OPENVINO_SUFFIX:
                return _openvino_properties(file.read(_MAX_XML_BYTES + 1))
            return _safetensors_metadata(file, size)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        with path.open("rb") as file:
            begins_well = file.read(9)[8:] == b"{"  # 8 bytes of length, then the header's JSON
        if begins_well or path.suffix in EXPORTED_SUFFIXES:
            raise VepeError(
                f"'{path}' is cut off or damaged; copy, export or train it again."
            ) from None
        raise VepeError(
            f"'{path}' is not a weights file, or is damaged; give a {SUFFIX} file that VEPE wrote."
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VepeError(f"'{path}' cannot be read ({reason}); check its rights.") from None


def _safetensors_metadata(file: BinaryIO, size: int) -> dict[str, str]:
    """The metadata in a safetensors header. Raises ValueError where the file is not whole."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
        raise ValueError("the header is longer than the file")
    header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if 8 + length + end != size:
        raise ValueError("the tensors end elsewhere than the file")
    return {str(key): str(value) for key, value in metadata.items()}


def _onnx_properties(file: BinaryIO, size: int) -> Iterator[tuple[str, str]]:
    """The metadata of an ONNX file, without its graph. Raises ValueError where it is not whole.

    Only the outermost fields of the protobuf message are read: a tag, a length, and the content.
    """
    if size > _MAX_ONNX_BYTES:
        raise ValueError("longer than a message of protobuf can be")
    while file.tell() < size:
        tag = _varint(file)
        if tag >> 3 == 0:
            raise ValueError("no field has the number 0")
        if tag & 7 == 0:
            _varint(file)
        elif tag & 7 == 2:
            length = _varint(file)
            if length > size - file.tell():
                raise ValueError("a field is longer than the file")
            if tag >> 3 == _METADATA_FIELD:
                yield _property(file.read(length))
            else:
                file.seek(length, 1)
        else:
            raise ValueError("no field of an ONNX model")


def _openvino_properties(text: bytes) -> dict[str, str]:
    """The metadata of an OpenVINO file, under `rt_info/vepe`. Raises ValueError without any."""
    from xml.etree import ElementTree

    if len(text) > _MAX_XML_BYTES:
        raise ValueError("more XML than any graph has")
    if b"<!" in text:  # no document type, hence no entities, which could fill the memory
        raise ValueError("a document type")
    try:
        entries = ElementTree.fromstring(text).iterfind("./rt_info/vepe/*")
    except ElementTree.ParseError:
        raise ValueError("no XML") from None
    return {entry.tag: entry.attrib["value"] for entry in entries}


def _property(raw: bytes) -> tuple[str, str]:
    """Key and value, both strings."""
    from io import BytesIO

    entry, values = BytesIO(raw), {}
    while entry.tell() < len(raw):
        field = _varint(entry) >> 3
        values[field] = entry.read(_varint(entry)).decode()
    return values[1], values.get(2, "")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number has more than 64 bits")


def bundled_weights(preset: str, suffix: str = SUFFIX) -> Path | None:
    """The file of that kind that comes with the package for a preset, or None."""
    path = Path(str(resources.files("vepe.weights"))) / f"{preset}{suffix}"
    return path if path.is_file() else None


def find_weights(name: str | Path) -> Path:
    """The file that a name refers to. Raises VepeError where there is none."""
    text, path = str(name), as_path(name, "a model")
    if text.startswith(PREFIX):
        return fetch_weights(text)
    if path.suffix in (SUFFIX, *EXPORTED_SUFFIXES) or path.is_file():
        if not path.is_file():
            raise VepeError(f"There is no weights file '{text}'; check the path.")
        return path
    bundled = bundled_weights(text) if text == path.name else None
    if bundled is not None:
        return bundled
    if text in preset_names():
        raise VepeError(
            f"There are no bundled weights for '{text}'; pass a weights file ({SUFFIX}, or "
            f"{PREFIX}OWNER/REPO on the Hugging Face hub) or train it with `vepe train`."
        )
    if len(path.parts) > 1:
        raise VepeError(f"There is no weights file '{text}'; give a {SUFFIX} file or a preset.")
    with_weights = [preset for preset in preset_names() if bundled_weights(preset)]
    raise VepeError(f"There is no preset '{text}'{nearest(text, with_weights)}")


def fetch_weights(address: str) -> Path:
    """Downloads weights from the Hugging Face hub, or takes them from the hub's local cache.

    Args:
        address: `hf://OWNER/REPO` for its file `model.safetensors`, or
            `hf://OWNER/REPO/FILE.safetensors`; `@REVISION` after REPO selects a branch, tag or
            commit.

    Raises:
        VepeError: where the address is malformed, or there is no such file, network, access or
            space; the message says which, and what to do.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise VepeError(
            f"'{address}' is no address of weights; write {PREFIX}OWNER/REPO or "
            f"{PREFIX}OWNER/REPO/FILE.safetensors."
        )
    # This import takes a second: commands that download nothing should not wait for it.
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError:
        raise missing_extra("The Hugging Face hub", "huggingface-hub", "torch") from None

    repo, file = match["repo"], match["file"] or DEFAULT_FILE
    try:
        return Path(hf_hub_download(repo, file, revision=match["revision"]))
    except errors.GatedRepoError:
        why = "its owner must grant access: ask on its page, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        why = "there is no such repository, or it is private: check the name, or `hf auth login`"
    except errors.RevisionNotFoundError:
        why = f"it has no revision '{match['revision']}': check the name"
    except errors.LocalEntryNotFoundError:
        why = "the hub cannot be reached and no copy is on this machine: check the network"
    except errors.EntryNotFoundError:
        why = f"it has no file '{file}': add the file's name after the repository"
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        why = f"{str(error).splitlines()[0].rstrip('.')}: try again, or download the file by hand"
    raise VepeError(f"'{address}' could not be downloaded; {why}.") from None
