"""Runs every command once without a fault: it must work, and its results are used by the kinds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import run_vepe
from campaign import WrongError
from commands import COMMANDS, Command
from samples import Samples

_CHANGES = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink",
    "os.chmod", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp",
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def on_change(act: Callable[[int], None], below: Path | None = None) -> Callable[[], None]:
    """A function that arms `act`: called with 1, 2, 3 ... before each change of a file.

    Args:
        act: gets the number of the change.
        below: counts changes in this folder alone.
    """

    def arm() -> None:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            counts = below is None or any(str(a).startswith(str(below)) for a in arguments)
            if counts and (event in _CHANGES or (event == "open" and _is_writing(arguments))):
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


def run_undamaged(samples: Samples, folder: Path, jobs: int) -> list[str]:
    """Runs all commands, `jobs` at a time; returns what is wrong with those that fail."""
    places = [folder / str(number) for number in range(len(COMMANDS))]
    running: set[int] = set()
    # Those that go on from the results of another come last.
    ordered = sorted(zip(COMMANDS, places, strict=True), key=lambda entry: bool(entry[0].after))
    for command, place in ordered:
        if command.after and not samples.results:
            while running:
                running.discard(os.wait()[0])
            samples.results.update({c.arguments: str(p / "out") for c, p in ordered if not c.after})
        while len(running) >= jobs:
            running.discard(os.wait()[0])  # libraries may have children of their own
        pid = os.fork()
        if pid == 0:
            try:
                _run(command, samples, place)
            finally:
                os._exit(0)
        running.add(pid)
    for pid in running:
        os.waitpid(pid, 0)
    problems = []
    for command, place in zip(COMMANDS, places, strict=True):
        samples.results[command.arguments] = str(place / "out")
        samples.num_changes[command.arguments] = (place / "count").stat().st_size
        problem = (place / "problem").read_text(encoding="utf-8")
        if problem:
            problems.append(f"without any fault, {command.arguments}: {problem}")
    return problems


def _run(command: Command, samples: Samples, place: Path) -> None:
    """Runs a command in a folder, counts its changes, and notes what is wrong with it, if any."""
    place.mkdir(parents=True)
    problem, counter = place / "problem", place / "count"
    counter.touch()
    problem.write_text("it died")
    samples.begin(command.inputs, command.after, place)
    answer = run_vepe.run(command.words(place), place, on_change(_counting(counter)))
    wrong = ""
    try:
        run_vepe.check(answer, codes=(0,), log=command.logs)
        run_vepe.check_files(place / "out")
        missing = [name for name in command.writes if not (place / "out" / name).exists()]
        wrong = f"no {missing}" if missing else ""
    except WrongError as error:
        wrong = str(error)
    problem.write_text(wrong, encoding="utf-8", errors="replace")
    shutil.rmtree(place / "in")
