"""Damages one input of a command, by its kind of content."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from campaign import Trial
from commands import Command
from damage import JUNK, damaged_bytes, damaged_table, damaged_value, json_text
from scipy.io import loadmat, savemat

ODD_LINES = (
    b"\nextends: in.yaml\n", b"\nextends: ../in/./recipe.yaml\n", b"\nx: &a [*a]\n",
    b"\n? [1]\n: 2\n", b"\nseed: !!python/object/apply:os.system [touch x]\n",
    b"\nx: !!int z\n", b"\nname: 2026-99-99\n",
)  # fmt: skip
"""Lines of YAML that do not belong into a configuration."""


def prepare(trial: Trial, command: Command, kinds: set[str]) -> str:
    """Copies the command's inputs and damages one of a wanted kind; returns what was done."""
    trial.samples.begin(command.inputs, command.after, trial.folder)
    choices = [entry for entry in command.damage if entry[0] in kinds]
    kind, pattern = trial.rng.choice(choices)
    below = pattern.removeprefix("OUT/")
    root = trial.folder / ("out" if pattern.startswith("OUT/") else "in")
    path = trial.rng.choice(sorted(root.glob(below)))
    done = DAMAGE[kind](trial.rng, path)
    return f"{command.name}: {path.relative_to(trial.folder)} {done}"


def _binary(rng: random.Random, path: Path) -> str:
    done, data = damaged_bytes(rng, path.read_bytes())
    path.write_bytes(data)
    return done


def _frames(rng: random.Random, folder: Path) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    action = rng.randrange(4)
    if action == 0:
        path.unlink()
        path.symlink_to("nowhere.jpg")
        return f"{path.name} a dangling link"
    if action == 1:
        path.unlink()
        path.mkdir()
        return f"{path.name} a folder"
    return f"{path.name} {_binary(rng, path)}"


def _json(rng: random.Random, path: Path) -> str:
    done, value = damaged_value(rng, json.loads(path.read_bytes()))
    more, data = json_text(rng, value)
    path.write_bytes(data)
    return f"{done} {more}"


def _openpose(rng: random.Random, folder: Path) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    if rng.random() < 0.2:
        path = path.rename(folder / rng.choice(["a_keypoints.json", f"{'9' * 200}_keypoints.json"]))
    return f"{path.name} {_json(rng, path)}"


def _yaml(rng: random.Random, path: Path) -> str:
    done, value = damaged_value(rng, yaml.safe_load(path.read_text()))
    data = yaml.safe_dump(_finite_depth(value), allow_unicode=rng.random() < 0.5)
    raw = data.encode("utf-8", "surrogatepass")
    action = rng.randrange(8)
    if action == 0:
        more, raw = damaged_bytes(rng, raw)
        done += f" {more}"
    elif action == 1:
        raw += rng.choice(ODD_LINES)
        done += " and a line"
    path.write_bytes(raw)
    return done


def _finite_depth(value: Any) -> Any:
    """YAML's writer cannot take integers of thousands of digits or odd keys; leave those out."""
    if isinstance(value, dict):
        return {str(k): _finite_depth(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite_depth(v) for v in value]
    return str(value) if isinstance(value, int) and abs(value) > 10**300 else value


def _lines(rng: random.Random, path: Path) -> str:
    """A file of one JSON value per line: one of them is damaged, cut or repeated."""
    if rng.random() < 0.3:
        return _binary(rng, path)
    lines = path.read_bytes().splitlines()
    number = rng.randrange(len(lines))
    done, value = damaged_value(rng, json.loads(lines[number]))
    more, lines[number] = json_text(rng, value)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return f"line {number}: {done} {more}"


def _onnx(rng: random.Random, path: Path) -> str:
    """An exported model: its bytes, its metadata, its nodes or its weights."""
    if rng.random() < 0.3 or find_spec("onnx") is None:
        return _binary(rng, path)
    import onnx

    model = onnx.load(str(path))
    graph, action = model.graph, rng.randrange(7)
    if action < 3:
        entry = rng.choice(list(model.metadata_props))
        done, data = damaged_value(rng, {entry.key: _json_or_text(entry.value)})
        value = data.get(entry.key, "")
        entry.value = (value if isinstance(value, str) else json.dumps(value)).encode(
            "utf-8", "replace"
        )[:10_000]
    elif action == 3:
        node = rng.choice(list(graph.node))
        done = f"operator {node.op_type}"
        node.op_type = rng.choice(["Add", "Loop", "If", "Concat", "Nothing", "Identity", "Cast"])
    elif action == 4:
        tensor = rng.choice(list(graph.initializer))
        done = f"weights {tensor.name}"
        tensor.raw_data = rng.choice(
            [b"", tensor.raw_data[:-1], b"\xff" * len(tensor.raw_data), b"\0" * 8]
        )
    elif action == 5:
        names = [node.input for node in graph.node if node.input]
        done = "an edge"
        rng.choice(names)[0] = rng.choice(["", "nothing", names[0][0], names[-1][0]])
    else:
        value = rng.choice([*graph.input, *graph.output])
        done = f"shape of {value.name}"
        value.name = rng.choice(["x", value.name])
        for dimension in value.type.tensor_type.shape.dim[:1]:
            dimension.dim_value = rng.choice([0, 1, 7, 2**62, -1])
    path.write_bytes(model.SerializeToString())
    return done


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _table(rng: random.Random, path: Path) -> str:
    done, data = damaged_table(rng, path.read_text())
    path.write_bytes(data)
    return done


def _parquet(rng: random.Random, path: Path) -> str:
    if rng.random() < 0.5:
        return _binary(rng, path)
    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    index = table.column_names.index(name)
    length, action = len(table), rng.randrange(6)
    if action == 0:
        table = table.drop_columns([name])
    elif action == 1:
        table = table.rename_columns([n + "x" if n == name else n for n in table.column_names])
    elif action == 2:
        table = table.append_column(name, table.column(name))
    elif action == 3:
        table = table.slice(0, 0)
    else:
        columns = [
            pa.array(["é" * 10] * length), pa.nulls(length), pa.array([math.inf] * length),
            pa.array([[1.0]] * length), pa.array([{"a": 1}] * length), pa.array([b"\xff"] * length),
            pa.array([2**63 - 1] * length), pa.array([-1] * length), pa.array([True] * length),
            pa.array([math.nan] * length), pa.array(["1"] * length).dictionary_encode(),
        ]  # fmt: skip
        table = table.set_column(index, name, rng.choice(columns))
    pq.write_table(table, path)
    return f"{name}#{action}"


def _mat(rng: random.Random, path: Path) -> str:
    if rng.random() < 0.6:
        return _binary(rng, path)
    content = loadmat(path)["annolist"]
    frame = rng.randrange(content.shape[1])
    field = rng.choice(["image", "annorect"])
    # MATLAB's files have no None.
    junk = rng.choice([v for v in JUNK if isinstance(v, str | float | list) and v != [None]])
    content[0, frame][field] = junk if junk != "\ud800" else 0.0
    savemat(path, {rng.choice(["annolist", "annolist", "annolist", "other"]): content})
    return f"{frame}.{field} {junk!r:.40}"


DAMAGE: dict[str, Callable[[random.Random, Path], str]] = {
    "video": _binary,
    "image": _binary,
    "binary": _binary,
    "onnx": _onnx,
    "lines": _lines,
    "frames": _frames,
    "json": _json,
    "openpose": _openpose,
    "yaml": _yaml,
    "table": _table,
    "parquet": _parquet,
    "mat": _mat,
}
"""How a file (or folder) of each kind of content is damaged."""
