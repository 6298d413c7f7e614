"""Runs every command once without a fault: it must work, and its results are used by the kinds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import run_vepe
from campaign import WrongError
from commands import COMMANDS
from samples import Samples

_CHANGES = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink",
    "os.chmod", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp",
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def on_change(act: Callable[[int], None]) -> Callable[[], None]:
    """A function that arms `act`: called with 1, 2, 3 ... before each change of a file."""

    def arm() -> None:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in _CHANGES or (event == "open" and _is_writing(arguments)):
                count += 1
                act(count)

        sys.addaudithook(hook)

    return arm


def _is_writing(arguments: tuple[object, ...]) -> bool:
    path, _, flags = arguments
    if isinstance(path, int) or str(path).startswith(("/dev/", "/proc/")):
        return False
    return isinstance(flags, int) and bool(flags & _WRITING)


def _counting(path: Path) -> Callable[[int], None]:
    """Appends a byte per change to a file that is opened before counting starts."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(count: int) -> None:
        os.write(handle, b".")

    return note


def run_undamaged(samples: Samples, folder: Path) -> list[str]:
    """Runs all commands; returns what is wrong with those that fail."""
    problems = []
    for number, command in enumerate(COMMANDS):
        place = folder / str(number)
        samples.copy(command.inputs, place / "in")
        counter = place / "count"
        counter.touch()
        answer = run_vepe.run(command.words(place), place, on_change(_counting(counter)))
        try:
            run_vepe.check(answer, codes=(0,), log=command.logs)
            run_vepe.check_files(place / "out")
            missing = [name for name in command.writes if not (place / "out" / name).exists()]
            if missing:
                raise WrongError(f"no {missing}")
        except WrongError as error:
            problems.append(f"without any fault, {command.arguments}: {error}")
        samples.results[command.arguments] = place / "out"
        samples.num_changes[command.arguments] = counter.stat().st_size
        shutil.rmtree(place / "in")
    return problems
