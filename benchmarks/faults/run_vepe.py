"""Runs a command of VEPE as its users do, and judges the answer."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign import WrongError
from valid_files import problem_of

from vepe.cli import app

DONE, LOST, PART_FAILED, INTERRUPTED = 0, 2, 3, 130
_OWN_LINE = re.compile(r"(vepe|warning|note): \S|Stopping and writing what is finished\. ")
# Names of files that are being written, or were left by a process that was killed.
_HIDDEN = re.compile(r"\..*\.(part|partial|vepe-part|vepe-old)$|tmp[a-z0-9_]{8}$")


@dataclass(frozen=True)
class Answer:
    """What a command did: its exit code (negative: the signal that killed it), and its output."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Started:
    """A command that runs in a process of its own, or did."""

    pid: int
    files: tuple[Path, Path, Path]
    begun: float
    status: int | None = None

    def ended(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None


def start(
    arguments: list[str],
    folder: Path,
    before: Callable[[], None] | None = None,
    name: str = "captured",
) -> Started:
    """Starts `vepe ARGUMENTS` in a forked process; `before` is called there first.

    Args:
        arguments: of the command line.
        folder: where the output is kept until it is read.
        before: arms a fault.
        name: of the files with its output.
    """
    out, err, trace = (folder / f"{name}.{kind}" for kind in ("out", "err", "trace"))
    trace.unlink(missing_ok=True)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _call(arguments, out, err, trace, before)
        finally:
            os._exit(code)
    return Started(pid, (out, err, trace), begun)


def answer_of(started: Started) -> Answer:
    """What a command that was started did, when it has ended."""
    if started.status is None:
        _, started.status = os.waitpid(started.pid, 0)
    code = os.waitstatus_to_exitcode(started.status)
    out, err, trace = started.files
    text = _text(err)
    if trace.exists():
        text += "\n" + _text(trace)
    answer = Answer(code, _text(out), text, time.monotonic() - started.begun)
    for path in started.files:
        path.unlink(missing_ok=True)
    return answer


def run(arguments: list[str], folder: Path, before: Callable[[], None] | None = None) -> Answer:
    """What `vepe ARGUMENTS` does; arguments as `start`."""
    return answer_of(start(arguments, folder, before))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _call(
    arguments: list[str], out: Path, err: Path, trace: Path, before: Callable[[], None] | None
) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["vepe", *arguments]
    if before is not None:
        before()
    code = 0
    try:
        app.main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        trace.write_text(traceback.format_exc(limit=-14), encoding="utf-8", errors="replace")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def check(answer: Answer, *, codes: tuple[int, ...] = (DONE, LOST), log: bool = False) -> None:
    """Raises WrongError unless the exit code is one of `codes` and every error is a sentence.

    Args:
        answer: of the command.
        codes: exit codes that are right.
        log: whether the command may also log its progress to stderr, as training does.
    """
    if "Traceback (most recent call last)" in answer.err:
        raise WrongError("traceback: " + " | ".join(answer.err.splitlines()[-16:]))
    if answer.code < 0:
        raise WrongError(f"died of {signal.Signals(-answer.code).name}: {answer.err[-300:]}")
    if answer.code not in codes:
        raise WrongError(f"exit code {answer.code}: {answer.err[-300:]!r} {answer.out[-200:]!r}")
    lines = answer.err.splitlines()
    strange = [line for line in lines if line.strip() and not _OWN_LINE.match(line)]
    if strange and not log:
        raise WrongError(f"{len(strange)} lines that are not VEPE's: {strange[0][:300]!r}")
    if answer.code == LOST:
        last = next((line for line in reversed(lines) if line.startswith("vepe: ")), "")
        if not last:
            raise WrongError("exit code 2 without a sentence")
        if not last.rstrip().endswith((".", "'.", "?")):
            raise WrongError(f"not a sentence: {last[-200:]!r}")


def check_files(
    folder: Path, *, leftovers: bool = False, before: dict[str, int] | None = None
) -> None:
    """Raises WrongError if a file below the folder is not valid, or is a leftover.

    Args:
        folder: of the results.
        leftovers: whether hidden files may lie there.
        before: `snapshot` of the folder before the command; what did not change is not checked.
    """
    changed = snapshot(folder).items() - (before or {}).items()
    names = {key.rpartition(" ")[0] for key, _ in changed}
    for path in sorted(folder.rglob("*")):
        if _HIDDEN.match(path.name):
            if not leftovers:
                raise WrongError(f"left behind: {path.relative_to(folder)}")
            continue
        inside_hidden = any(_HIDDEN.match(part) for part in path.relative_to(folder).parts)
        if path.is_file() and not inside_hidden and str(path.relative_to(folder)) in names:
            problem = problem_of(path)
            if problem:
                raise WrongError(f"{path.relative_to(folder)} {problem}")


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders below the folder that a write did not finish."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if _HIDDEN.match(p.name)
    )


def snapshot(folder: Path) -> dict[str, int]:
    """Sizes and modification times of all files below a folder, to see that none was changed."""
    return {
        f"{path.relative_to(folder)} {path.lstat().st_size}": path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if not path.is_dir()
    }
