"""The code blocks of the documentation: where they are, how they are marked, and running them.

A block of `sh`, `console` or `python` runs in `make test`, with a network that stands in for the
real ones, unless a comment in the line above its fence says otherwise:

    <!-- full: minutes -->                 run by `make docs-full` with the real models
    <!-- full, with network: why -->       the same, where `HAVE` has `network`
    <!-- checked: why -->                  only checked: installations, other machines
    <!-- exit code 3: why -->              runs, and a command ends with this code
    <!-- exact -->                         a console block whose output is compared
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vepe.cli.app import run as run_vepe

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "assets/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "src").rglob("*.md")),
]
RUNNABLE = {"sh", "console", "python"}
LANGUAGES = RUNNABLE | {"text", "yaml", "json", "bibtex"}
LOOKS_LIKE_CODE = re.compile(r"^(\$ |vepe [a-z]+ |python3? |pip install|import |from \w+ import )")
CHECKED_PROGRAMS = {
    *("pip", "python3", "python", "make", "sudo", "apt-get", "torchrun", "accelerate", "srun"),
    *("export", "vepe", "docker", "curl", "ray", "source", "hf"),
}
"""Programs that a `checked` block may name."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: its file.
        line: of its fence, from 1.
        language: after the fence.
        text: inside it.
        mark: the comment above, without its brackets.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def kind(self) -> str:
        """run, full or checked."""
        return next((kind for kind in ("full", "checked") if self.mark.startswith(kind)), "run")

    @property
    def needs(self) -> set[str]:
        """What a `full` block needs beyond the real models."""
        match = re.match(r"full, with ([\w, ]+):", self.mark)
        return {need.strip() for need in match[1].split(",")} if match else set()

    @property
    def exit_code(self) -> int:
        match = re.match(r"exit code (\d+):", self.mark)
        return int(match[1]) if match else 0

    def commands(self) -> list[str]:
        """The commands of a shell block, without comments, one per line."""
        text = self.text
        if self.language == "console":
            text = "\n".join(x[2:] for x in text.splitlines() if x.startswith("$ "))
        lines = re.sub(r"\\\n\s*", " ", text).splitlines()
        found = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines]
        return [part.strip() for line in found if line for part in re.split(r" && ", line)]

    def output(self) -> str:
        """What a console block shows below its commands."""
        return "\n".join(x for x in self.text.splitlines() if not x.startswith("$ "))


def blocks(page: Path) -> list[Block]:
    """All blocks of a page; raises ValueError where a fence has no end."""
    result, start, language, mark, inside = [], 0, "", "", list[str]()
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = re.match(r"\s*```(.*)$", line)
        if fence and not start:
            start, language, inside = number, fence[1].strip(), []
            comment = re.fullmatch(r"\s*<!-- (.*) -->\s*", lines[number - 2] if number > 1 else "")
            mark = comment[1] if comment else ""
        elif fence:
            result.append(Block(page, start, language, "\n".join(inside) + "\n", mark))
            start = 0
        elif start:
            inside.append(line)
    if start:
        raise ValueError(f"{page}:{start}: the block has no end")
    return result


@dataclass
class Session:
    """Runs the blocks of one page one after the other, in one folder and one namespace."""

    folder: Path
    real: bool = False
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "page"})

    def run(self, block: Block) -> None:
        """Raises AssertionError where a command fails, or what the block raises."""
        with contextlib.chdir(self.folder):
            if block.language == "python":
                code = compile(block.text, str(block), "exec")
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, self.names)
                return
            text = io.StringIO()
            codes = [self.command(command, text) for command in block.commands()]
        assert codes, f"{block} has no command"
        assert max(codes) == block.exit_code, f"{block}: exit codes {codes}\n{text.getvalue()}"
        if block.mark == "exact":
            assert squeezed(text.getvalue()) == squeezed(block.output()), str(block)

    def command(self, command: str, text: io.StringIO) -> int:
        """Runs one command; returns its exit code."""
        words = shlex.split(command)
        if words[0] == "cd":
            os.chdir(words[1])
            return 0
        if self.real:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                ["bash", "-c", command],
                env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            text.write(done.stdout)
            return done.returncode
        target = words.index(">") if ">" in words else len(words)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(text):
            code = run_program(words[:target])
        if target < len(words):
            Path(words[target + 1]).write_text(printed.getvalue())
        text.write(printed.getvalue())
        return code


def run_program(words: list[str]) -> int:
    """Runs `vepe` or a Python script in this process."""
    if words[0] == "vepe":
        return run_vepe(words[1:])
    assert words[0] == "python", f"'{words[0]}' cannot run here: mark the block"
    before = sys.argv
    sys.argv = words[1:]
    try:
        runpy.run_path(words[1], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return 0


def squeezed(text: str) -> str:
    """Without line ends and runs of blanks, which depend on the width of the terminal."""
    return " ".join(text.split())


def vepe_calls(command: str) -> Iterator[list[str]]:
    """The arguments of every `vepe` in a command line, also behind a launcher or a pipe."""
    for part in re.split(r"\s\|\s", command):
        words = shlex.split(part.replace("$(", "").replace(")", ""))
        for index, word in enumerate(words):
            if word == "vepe" and (index == 0 or words[index - 1] == "-m" or "=" in words[0]):
                yield words[index + 1 :]
                break


def extras() -> set[str]:
    """The extras of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
