"""More of kind `hostile`: exported models that mean harm, odd variables, and special files."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from campaign import Trial
from commands import COMMANDS

Words = tuple[list[str], tuple[int, ...]]


def exported_model(trial: Trial, mark: Path, secret: Path) -> Words:
    """An exported model that names other files, allocates without end, or lies about its sizes."""
    folder = trial.folder / "in"
    trial.samples.copy(("images", "tiny.onnx", "clip.mkv"), folder)
    path = folder / "tiny.onnx"
    if find_spec("onnx") is not None:
        trial.title = f"exported {_changed_graph(trial, path, secret)}"
    out = trial.folder / "out"
    words = trial.rng.choice([
        ["predict", str(folder / "images/b.png"), "-o", str(out / "p.json")],
        ["track", str(folder / "clip.mkv"), "-o", str(out), "--no-video"],
    ])  # fmt: skip
    return [*words, "--model", str(path), "--imgsz", "64"], (0, 2)


def _changed_graph(trial: Trial, path: Path, secret: Path) -> str:
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(path))
    graph, action = model.graph, trial.rng.randrange(6)
    if action == 0:  # weights in another file, which may be any
        tensor = trial.rng.choice(list(graph.initializer))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key = "location"
        entry.value = trial.rng.choice([str(secret), f"../{secret.name}", "/dev/zero", "x\x1b[31m"])
        done = f"external {entry.value!r}"
    elif action == 1:  # an array of 2^40 values
        shape = helper.make_tensor("big", TensorProto.INT64, [1], [2**40])
        graph.initializer.append(shape)
        graph.node.insert(0, helper.make_node("ConstantOfShape", ["big"], ["huge"]))
        graph.node.insert(1, helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0))
        graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))
        done = "2^40 values"
    elif action == 2:  # an operator of a library that would be loaded
        node = trial.rng.choice(list(graph.node))
        node.domain, node.op_type = "com.evil", "Run"
        done = "unknown operator"
    elif action == 3:
        change = trial.rng.choice([("people", 10**9), ("keypoints", 10**9), ("future", 10**9),
                                   ("stride", 0), ("stride", 10**9), ("identity", -1),
                                   ("strides", []), ("strides", [0]), ("fixed_wh", [10**6] * 2),
                                   ("fixed_wh", [0, 0]), ("people", 7), ("aligned", True),
                                   ("future", -5), ("people", "x"),
                                   ("strides", [10**9])])  # fmt: skip
        _interface(model, *change)
        done = f"interface {change}"
    elif action == 4:
        for entry in model.metadata_props:
            if entry.key in ("config", "vepe_version", "license"):
                entry.value = entry.value.replace("tiny", "\x1b[31mx\u202e") or "\x1b[31m"
        done = "control characters"
    else:
        entry = trial.rng.choice(list(model.metadata_props))
        entry.value = trial.rng.choice(["", "{}", "[" * 5000, "9" * 5000, "null", '{"a":NaN}'])
        done = f"metadata {entry.key} {entry.value[:10]}"
    path.write_bytes(model.SerializeToString())
    return done


def _interface(model: Any, key: str, value: object) -> None:
    import json

    for entry in model.metadata_props:
        if entry.key == "interface":
            entry.value = json.dumps(json.loads(entry.value) | {key: value})


_LIMITS = ("PIXELS", "HELD_MB", "DOCUMENT_MB", "JSON_DEPTH", "TABLE_CELLS")
_NUMBERS = ("0", "-1", "x", "1e3", "9" * 40, " 7 ", "\u0661\u0662", "")
_VARIABLES: dict[str, tuple[str, ...]] = {
    **{f"VEPE_MAX_{name}": _NUMBERS for name in _LIMITS},
    "VEPE_CACHE": ("/dev/null", "/proc/nothing", "", "~nobody/x", "a" * 5000),
    "VEPE_SPIN": ("x", "", "2"),
    "HOME": ("/nowhere", "", "/dev/null"),
    "XDG_CACHE_HOME": ("/dev/null", "relative", ""),
    "TMPDIR": ("/nowhere", "/dev/null", ""),
    "HF_HOME": ("/dev/null",),
    "COLUMNS": ("0", "-5", "x", "1", "99999"),
    "LINES": ("0", "x"),
    "TERM": ("", "dumb", "nothing"),
    "LANG": ("C", "xx_YY.nothing"),
    "LC_ALL": ("C", "POSIX", "tr_TR.UTF-8"),
    "PYTHONIOENCODING": ("ascii", "latin-1"),
    "OMP_NUM_THREADS": ("0", "x", "-3", "1000000"),
    "OMP_WAIT_POLICY": ("ACTIVE", "x"),
    "MPLBACKEND": ("nothing", "tkagg"),
    "MPLCONFIGDIR": ("/dev/null",),
    "DISPLAY": (":99", "x"),
    "NO_COLOR": ("1",),
    "FORCE_COLOR": ("1",),
    "RANK": ("x", "5"),
    "WORLD_SIZE": ("x", "0", "-2"),
    "CUDA_VISIBLE_DEVICES": ("x", "7"),
    "OPENCV_IO_MAX_IMAGE_PIXELS": ("1", "x"),
    "SOURCE_DATE_EPOCH": ("x", "-1"),
}  # fmt: skip


def environment(trial: Trial, mark: Path, secret: Path) -> Words:
    """One to three variables with odd values, for any quick command."""
    command = trial.rng.choice([c for c in COMMANDS if not c.slow and not c.logs])
    trial.samples.begin(command.inputs, command.after, trial.folder)
    names = trial.rng.sample(sorted(_VARIABLES), trial.rng.choice([1, 1, 2, 3]))
    changes = {name: trial.rng.choice(_VARIABLES[name]) for name in names}
    trial.title = f"variables {changes!r:.200}"
    os.environ |= changes
    return command.words(trial.folder), (*command.codes, 2)


def own_input(trial: Trial, mark: Path, secret: Path) -> Words:
    """A result that is named as one of the command's inputs, or a file among them."""
    command = trial.rng.choice([c for c in COMMANDS if not c.slow and "IN/" in c.arguments
                                and "OUT/" in c.arguments])  # fmt: skip
    trial.samples.begin(command.inputs, command.after, trial.folder)
    words = command.words(trial.folder, overwrite=trial.rng.random() < 0.7)
    results = [i for i, word in enumerate(words) if word.startswith(f"{trial.folder}/out/")]
    files = sorted(p for p in (trial.folder / "in").rglob("*") if p.is_file())
    place = trial.rng.choice(results)
    same = [path for path in files if path.suffix == Path(words[place]).suffix]
    named = [Path(w) for w in words if w.startswith(f"{trial.folder}/in/")]
    chosen = trial.rng.choice([same or files, named, files])
    words[place] = str(trial.rng.choice(chosen))
    trial.title = "own input"
    return words, (*command.codes, 2)


def special_file(trial: Trial, mark: Path, secret: Path) -> Words:
    """An input or an output that is no regular file, in any quick command."""
    command = trial.rng.choice([c for c in COMMANDS if not c.slow and not c.logs and not c.after
                                and "IN/" in c.arguments])  # fmt: skip
    trial.samples.copy(command.inputs, trial.folder / "in")
    words = command.words(trial.folder)
    places = [w for w in words if w.startswith(f"{trial.folder}/in/")]
    if trial.rng.random() < 0.3:
        places = [w for w in words if w.startswith(f"{trial.folder}/out/")] or places
    place = Path(trial.rng.choice(places))
    made = trial.rng.choice(_SPECIAL)
    trial.title = f"{made.__name__.strip('_')} at {place.relative_to(trial.folder)}"
    if place.is_dir():
        place = place / trial.rng.choice(sorted(p.name for p in place.iterdir()))
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        place.rename(trial.folder / "in" / "moved")
    place.unlink(missing_ok=True)
    made(place)
    return words, (*command.codes, 2)


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _loop(place: Path) -> None:
    place.symlink_to(place.name)


def _folder_loop(place: Path) -> None:
    place.mkdir()
    (place / "again").symlink_to("..")


def _socket(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # the names of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(place.name)
    finally:
        os.chdir(here)


def _dangling(place: Path) -> None:
    place.symlink_to("nowhere/at all")


def _zeros(place: Path) -> None:
    place.symlink_to("/dev/zero")


def _null(place: Path) -> None:
    place.symlink_to("/dev/null")


def _memory(place: Path) -> None:
    place.symlink_to("/proc/self/mem")


def _sparse(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(2**40)


_SPECIAL: tuple[Callable[[Path], None], ...] = (
    _fifo, _loop, _folder_loop, _socket, _dangling, _zeros, _null, _memory, _sparse,
)  # fmt: skip
