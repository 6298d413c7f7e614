"""The house rules that a machine can check: who may import whom, sizes, names, quick imports.

Floors, bottom up, as docs and design have them. A module imports its own room and floors below.
"""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted((SOURCE / "vepe").rglob("*.py"))

FLOORS = (
    {"errors"},
    {"skeleton"},
    {"types"},
    {"config"},
    {"video", "formats", "viz"},
    {"models"},
    {"losses"},
    {"data"},
    {"tracking"},
    {"inference"},
    {"evaluation"},
    {"training"},
    {"export"},
    {"serve"},
    {"cli"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The package's front door names everything and loads it lazily; `python -m vepe` is the CLI.
ABOVE_ALL = {"vepe/__init__.py", "vepe/__main__.py"}
TORCH_FREE_ROOMS = ("config", "video", "formats", "viz", "tracking", "evaluation", "cli")
GRAB_BAGS = {"utils", "util", "misc", "helpers", "helper", "common"}
MOST_LINES, MEDIAN_LINES = 400, 180


def label(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    """'models' for vepe/models/heads.py, 'types' for vepe/types.py."""
    inside = path.relative_to(SOURCE / "vepe")
    return inside.parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything of `vepe` that is imported, also inside functions.

    `from vepe import x` counts as `vepe.x`; so does `import_module("vepe.x")`. `package` is the
    dotted place of the module, for relative imports.
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{stem}.{a.name}" for a in node.names] if stem == "vepe" else [stem]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == "import_module" and isinstance(node.args[0], ast.Constant):
                names = [str(node.args[0].value)]
        for name in names:
            if name == "vepe" or name.startswith("vepe."):
                yield node.lineno, name


def wrong_imports(code: str, room: str, package: tuple[str, ...]) -> list[str]:
    """Every import in `code` that reaches to another room which is not on a lower floor."""
    found = []
    for line, name in imported_modules(ast.parse(code), package):
        target = name.split(".")[1] if "." in name else "vepe"
        if target == room or target == "__version__":
            continue
        if target not in FLOOR_OF:
            found.append(f"line {line}: {name} (import from its own module, not from the package)")
        elif FLOOR_OF[target] >= FLOOR_OF[room]:
            found.append(f"line {line}: {name}")
    return found


@pytest.mark.parametrize(
    ("code", "room", "wrong"),
    [
        ("from vepe.errors import VepeError", "types", False),
        ("from vepe.types import Frame", "errors", True),
        ("from vepe.models.heads import Head", "models", False),
        ("from .heads import Head", "models", False),
        ("from ..training.loop import Loop", "models", True),
        ("import vepe.cli.app", "models", True),
        ("def f():\n    from vepe.cli import app", "models", True),
        ("from vepe import cli", "models", True),
        ("from vepe import load", "cli", True),
        ("from vepe import __version__", "training", False),
        ("from vepe.video.reader import open_video", "formats", True),
        ("from importlib import import_module\nimport_module('vepe.cli.app')", "models", True),
    ],
)
def test_the_import_check_sees_what_it_should(code: str, room: str, wrong: bool) -> None:
    assert bool(wrong_imports(code, room, ("vepe", room))) is wrong


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_point_down(path: Path) -> None:
    if label(path) in ABOVE_ALL:
        return
    room = room_of(path)
    if room == "weights":
        assert path.name == "__init__.py", "weights holds data only"
        return
    assert room in FLOOR_OF, f"{label(path)} is in no known room; give it a floor"
    package = path.relative_to(SOURCE).parent.parts
    assert not wrong_imports(path.read_text(encoding="utf-8"), room, package)


def test_files_are_short() -> None:
    lines = {label(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
    written = [n for n in lines.values() if n]  # an empty __init__.py says nothing of size
    assert statistics.median(written) <= MEDIAN_LINES


def test_no_grab_bags() -> None:
    places = [p.relative_to(SOURCE).with_suffix("") for p in FILES]
    assert [p.as_posix() for p in places if GRAB_BAGS.intersection(p.parts)] == []


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter that has this package on its path."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_vepe_is_quick_and_without_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import vepe; "
        "seconds = time.perf_counter() - start; "
        "print([m for m in ('torch', 'av', 'cv2', 'numpy') if m in sys.modules], seconds)"
    )
    loaded, seconds = run_python(code).rsplit(" ", 1)
    print(f"import vepe: {float(seconds) * 1000:.1f} ms")
    assert loaded == "[]"


@pytest.mark.parametrize("room", TORCH_FREE_ROOMS)
def test_rooms_without_torch(room: str) -> None:
    modules = [
        ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for p in FILES
        if room_of(p) == room
    ]
    code = (
        "import sys; from importlib import import_module\n"
        f"for name in {modules!r}:\n"
        "    import_module(name)\n"
        "    if 'torch' in sys.modules: print(name); break"
    )
    assert run_python(code) == "", "this module imports torch"


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("torch", "av", "cv2", "numpy", "scipy", "pyarrow", "matplotlib", "pydantic")
    code = f"import sys, vepe.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    assert run_python(code) == "[]"
