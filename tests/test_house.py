"""House rules: layered imports, file sizes, names, plain English, and fast imports.

`LAYERS` lists the rooms bottom up, see docs/architecture.md. A module imports from its own room and
from the layers below.
"""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILES = sorted((SOURCE / "vepe").rglob("*.py"))
SYNTH_FILES = sorted((SOURCE / "vepe_synth").rglob("*.py"))

LAYERS = (
    {"errors"},
    {"limits"},
    {"skeleton", "partial_files", "image_header", "linear_assignment"},
    {"types", "client", "temporary_folders"},
    {"config", "measures"},
    {"video", "formats", "viz"},
    {"models"},
    {"losses"},
    {"data"},
    {"tracking"},
    {"results", "interop"},
    {"inference"},
    {"evaluation", "serve", "cluster"},
    {"training"},
    {"cli"},
)
LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
# The package's public names, which load lazily, and `python -m vepe`.
ABOVE_ALL = {"vepe/__init__.py", "vepe/__main__.py"}
TORCH_FREE_ROOMS = (
    *(
        "config",
        "measures",
        "video",
        "formats",
        "viz",
        "tracking",
        "results",
        "interop",
        "evaluation",
        "cluster",
        "serve",
        "cli",
    ),
)
GRAB_BAGS = {"utils", "util", "misc", "helpers", "helper", "common"}
MAX_LINES, MAX_MEDIAN_LINES = 400, 180
# Rooms of vepe that vepe_synth may import, and the only module of vepe_synth that vepe imports.
SYNTH_MAY_IMPORT = {
    *("__version__", "errors", "types", "skeleton", "image_header"),
    *("config", "formats", "viz"),
}
SYNTH_COMMAND = "vepe_synth.command"
# A command as those of cli, it also uses what they share.
SYNTH_COMMAND_MAY_IMPORT = {"cli", "cluster"}

# Words that are not used in the field: in any text, as a variable, or as a part of an identifier.
BANNED_WORDS = re.compile(
    r"\b(told|mend|mended|lest|anew|somebody|whoever|garbles)\b", re.IGNORECASE
)
BANNED_VARIABLES = {"found", "truth"}  # pred, gt, or what it is
BANNED_IN_IDENTIFIERS = {"picture", "pictures"}  # image


def label(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    """'models' for vepe/models/vepe.py, 'types' for vepe/types.py."""
    inside = path.relative_to(SOURCE / "vepe")
    return inside.parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import from `vepe` and `vepe_synth`, also inside functions.

    `from vepe import x` counts as `vepe.x`; so does `import_module("vepe.x")`. `package` is the
    dotted path of the module's package, for relative imports.
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            at_top = stem in ("vepe", "vepe_synth")
            names = [f"{stem}.{a.name}" for a in node.names] if at_top else [stem]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == "import_module" and isinstance(node.args[0], ast.Constant):
                names = [str(node.args[0].value)]
        for name in names:
            if name.split(".")[0] in ("vepe", "vepe_synth"):
                yield node.lineno, name


def wrong_imports(code: str, room: str, package: tuple[str, ...]) -> list[str]:
    """Every import in `code` from a room that is not on a lower layer."""
    wrong = []
    for line, name in imported_modules(ast.parse(code), package):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0] if rest else "vepe"
        if top == "vepe_synth":
            if name != SYNTH_COMMAND or room != "cli":
                wrong.append(f"line {line}: {name} (only cli imports {SYNTH_COMMAND})")
        elif target == room or target == "__version__":
            continue
        elif target not in LAYER_OF:
            wrong.append(f"line {line}: {name} (import from its own module, not from the package)")
        elif LAYER_OF[target] >= LAYER_OF[room]:
            wrong.append(f"line {line}: {name}")
    return wrong


@pytest.mark.parametrize(
    ("code", "room", "wrong"),
    [
        ("from vepe.errors import VepeError", "types", False),
        ("from vepe.types import Frame", "errors", True),
        ("from vepe.models.neck import FpnNeck", "models", False),
        ("from .neck import FpnNeck", "models", False),
        ("from ..training.step import step", "models", True),
        ("import vepe.cli.app", "models", True),
        ("def f():\n    from vepe.cli import app", "models", True),
        ("from vepe import cli", "models", True),
        ("from vepe import load", "cli", True),
        ("from vepe import __version__", "training", False),
        ("from vepe.video.reader import open_video", "formats", True),
        ("from importlib import import_module\nimport_module('vepe.cli.app')", "models", True),
        ("def f():\n    from vepe_synth.command import synth", "cli", False),
        ("from vepe_synth.command import synth", "training", True),
        ("from vepe_synth.dataset import RenderJob", "cli", True),
        ("import vepe_synth", "cli", True),
    ],
)
def test_import_check(code: str, room: str, wrong: bool) -> None:
    assert bool(wrong_imports(code, room, ("vepe", room))) is wrong


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_come_from_lower_layers(path: Path) -> None:
    if label(path) in ABOVE_ALL:
        return
    room = room_of(path)
    if room == "weights":
        assert path.name == "__init__.py", "weights holds data only"
        return
    assert room in LAYER_OF, f"{label(path)} is in no known room; add it to LAYERS"
    package = path.relative_to(SOURCE).parent.parts
    assert not wrong_imports(path.read_text(encoding="utf-8"), room, package)


@pytest.mark.parametrize("path", SYNTH_FILES, ids=label)
def test_synth_imports_only_lower_rooms_of_vepe(path: Path) -> None:
    package = path.relative_to(SOURCE).parent.parts
    imports = imported_modules(ast.parse(path.read_text(encoding="utf-8")), package)
    rooms = {name.split(".")[1] for _, name in imports if name.startswith("vepe.")}
    more = SYNTH_COMMAND_MAY_IMPORT if label(path) == "vepe_synth/command.py" else set()
    assert rooms <= SYNTH_MAY_IMPORT | more


def test_vepe_synth_loads_lazily() -> None:
    code = "import sys, vepe.cli.app; print([m for m in sys.modules if m.startswith('vepe_synth')])"
    assert run_python(code) == "[]"


def test_no_file_is_long() -> None:
    files = [*FILES, *SYNTH_FILES]
    lines = {label(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}
    assert statistics.median(n for n in lines.values() if n) <= MAX_MEDIAN_LINES


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module names: variables, arguments, functions, ..."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.value.lineno, node.arg


def dialect(code: str) -> list[str]:
    """Identifiers of a module that the glossary replaces."""
    wrong = []
    for line, name in identifiers(ast.parse(code)):
        words = set(re.findall(r"[a-z]+|[A-Z][a-z]*", name))
        if name in BANNED_VARIABLES or BANNED_IN_IDENTIFIERS & {word.lower() for word in words}:
            wrong.append(f"line {line}: {name}")
    return wrong


@pytest.mark.parametrize(
    "code", ["found = 1", "def f(truth): ...", "x.pictures", "class Picture: ..."]
)
def test_dialect_check(code: str) -> None:
    assert dialect(code)
    assert not dialect("pred, gt, image = found_at(1), 2, 3")


@pytest.mark.parametrize("path", [*FILES, *SYNTH_FILES], ids=label)
def test_identifiers_use_the_words_of_the_field(path: Path) -> None:
    assert dialect(path.read_text(encoding="utf-8")) == []


def test_texts_use_plain_english() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *SOURCE.rglob("*.md")]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*FILES, *SYNTH_FILES, *pages]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if BANNED_WORDS.search(line)
    ]
    assert wrong == []


def test_layout_in_the_docs_is_what_ls_shows() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = page.split("## Layout")[1].split("```text\n")[1].split("```")[0]
    documented: dict[str, set[str]] = {}
    for line in block.strip().splitlines():
        if line.endswith("/"):
            folder = line.rstrip("/")
            documented[folder] = set()
        else:
            documented[folder] |= set(line.split())
    actual: dict[str, set[str]] = {}
    for path in [*FILES, *SYNTH_FILES]:
        if path.stem != "__init__":
            actual.setdefault(path.parent.relative_to(SOURCE).as_posix(), set()).add(path.stem)
    assert documented == actual


def test_no_grab_bags() -> None:
    modules = [p.relative_to(SOURCE).with_suffix("") for p in [*FILES, *SYNTH_FILES]]
    assert [m.as_posix() for m in modules if GRAB_BAGS.intersection(m.parts)] == []


def run_python(code: str) -> str:
    """Standard output of a new interpreter with this package on its path."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_vepe_is_fast_and_loads_no_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import vepe; "
        "seconds = time.perf_counter() - start; "
        "print([m for m in ('torch', 'av', 'cv2', 'numpy') if m in sys.modules], seconds)"
    )
    loaded, seconds = run_python(code).rsplit(" ", 1)
    print(f"import vepe: {float(seconds) * 1000:.1f} ms")
    assert loaded == "[]"


@pytest.mark.parametrize("room", TORCH_FREE_ROOMS)
def test_room_loads_no_torch(room: str) -> None:
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


NEED_TORCH = {"torch_network", "weights", "export", "export_formats"}
"""Modules of `inference` that need PyTorch; all others run without it."""


def test_inference_runs_without_torch() -> None:
    """As where only the core dependencies are installed."""
    names = [p.stem for p in FILES if room_of(p) == "inference" and p.stem not in NEED_TORCH]
    code = (
        "import sys; from importlib import import_module\n"
        "for name in ('torch', 'timm', 'torchvision', 'safetensors', 'huggingface_hub'):\n"
        "    sys.modules[name] = None\n"
        f"for name in {names!r}:\n"
        "    import_module('vepe.inference' if name == '__init__' else f'vepe.inference.{name}')"
    )
    assert run_python(code) == ""


def test_command_line_loads_no_heavy_package() -> None:
    heavy = ("torch", "av", "cv2", "numpy", "scipy", "pyarrow", "matplotlib", "pydantic")
    code = f"import sys, vepe.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    assert run_python(code) == "[]"
