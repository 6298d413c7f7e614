"""Kinds `signals` and `disk`: commands that are killed, or run out of space, while they write."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import run_vepe
from campaign import Trial, WrongError
from commands import COMMANDS, Command
from readers import draw
from run_vepe import DONE, INTERRUPTED, LOST
from undamaged import on_change

_CLONE_NEWNS, _CLONE_NEWUSER, _MS_PRIVATE = 0x20000, 0x10000000, 0x4C000
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def signals(trial: Trial) -> None:
    """A signal before one of the file changes, or at any moment, of a command that writes."""
    command, had_old = _setting(trial)
    number = trial.rng.choice(_SIGNALS)
    count = trial.samples.num_changes[command.arguments]
    at = trial.rng.randint(1, count + 1)
    trial.say(f"{command.arguments} | {number.name} before change {at} of {count}, old {had_old}")
    answer = run_vepe.run(
        command.words(trial.folder, overwrite=had_old),
        trial.folder,
        on_change(lambda change: os.kill(os.getpid(), number) if change == at else None),
    )
    out = trial.folder / "out"
    died = answer.code == -number and number != signal.SIGINT
    if not died:
        run_vepe.check(
            answer,
            codes=(DONE, INTERRUPTED, *(set(command.codes) - {LOST})),
            log=command.logs,
        )
    run_vepe.check_files(out, leftovers=died)
    _check_whole(trial, command, had_old)
    if trial.rng.random() < 0.4:
        _check_again(trial, command)


def disk(trial: Trial) -> None:
    """A full disk at some moment of a command that writes."""
    command, had_old = _setting(trial)
    ways: list[Callable[[Trial, Command], tuple[str, Callable[[], None]]]]
    ways = [_small_disk, _no_space_at_a_change, _file_size_limit]
    done, arm = trial.rng.choice(ways)(trial, command)
    trial.say(f"{command.arguments} | {done}, old {had_old}")
    words = command.words(trial.folder, overwrite=had_old)
    if done.startswith("a disk"):
        arm()
        (trial.folder / "in").rename(trial.folder / "in2")
        words = [w.replace(f"{trial.folder}/in", f"{trial.folder}/in2") for w in words]
        if command.after or had_old:
            old = trial.samples.results[command.after or command.arguments]
            shutil.copytree(old, trial.folder / "out", dirs_exist_ok=True)
        fill(trial, trial.folder / "out")
        answer = run_vepe.run(words, trial.folder)
        (trial.folder / "out" / "filler").unlink(missing_ok=True)
    else:
        answer = run_vepe.run(words, trial.folder, arm)
    run_vepe.check(answer, codes=(DONE, LOST, *command.codes), log=command.logs)
    run_vepe.check_files(trial.folder / "out")
    _check_whole(trial, command, had_old)


def _setting(trial: Trial) -> tuple[Command, bool]:
    """A command that writes, its inputs, and sometimes the results of an earlier run."""
    command = draw(trial, [c for c in COMMANDS if c.writes])
    trial.samples.begin(command.inputs, command.after, trial.folder)
    had_old = trial.rng.random() < 0.6 and not command.logs
    if had_old and not command.after:
        shutil.copytree(trial.samples.results[command.arguments], trial.folder / "out")
    return command, had_old


def _check_whole(trial: Trial, command: Command, had_old: bool) -> None:
    """Raises WrongError where an old result is lost, or a folder holds a part of its files."""
    before = Path(trial.samples.results[command.arguments])
    for name in command.writes:
        path, reference = trial.folder / "out" / name, before / name
        if not path.exists():
            if had_old:
                raise WrongError(f"the old {name} is lost")
        elif path.is_dir() and command.atomic_folders:
            missing = _names(reference) - _names(path)
            if missing:
                raise WrongError(f"{name} lacks {sorted(missing)[:3]}")


def _names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _check_again(trial: Trial, command: Command) -> None:
    """The same command once more: it must work, and leave no leftovers of the first one."""
    words = command.words(trial.folder, overwrite=True)
    if command.arguments.startswith("train IN") and (trial.folder / "out/run/last.pt").exists():
        words.append("--resume")
    elif command.arguments.startswith("train IN"):
        shutil.rmtree(trial.folder / "out", ignore_errors=True)
    answer = run_vepe.run(words, trial.folder)
    try:
        run_vepe.check(answer, codes=(DONE,), log=command.logs)
        run_vepe.check_files(trial.folder / "out")
    except WrongError as error:
        raise WrongError(f"at the next run: {error}") from None
    _check_whole(trial, command, had_old=True)


def _no_space_at_a_change(trial: Trial, command: Command) -> tuple[str, Callable[[], None]]:
    at = trial.rng.randint(1, max(1, trial.samples.num_changes[command.arguments]))
    code = trial.rng.choice([errno.ENOSPC, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])

    def fail(change: int) -> None:
        if change == at:
            raise OSError(code, os.strerror(code))

    return f"{errno.errorcode[code]} at change {at}", on_change(fail)


def _file_size_limit(trial: Trial, command: Command) -> tuple[str, Callable[[], None]]:
    limit = trial.rng.choice([0, 100, 1000, 5000, 20_000])

    def arm() -> None:
        # The output of this process goes to files, too; their sentences are short.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(limit, 4000), resource.RLIM_INFINITY))

    return f"files of at most {max(limit, 4000)} bytes", arm


def _small_disk(trial: Trial, command: Command) -> tuple[str, Callable[[], None]]:
    """A file system of 4 MB more than what lies there, in the place of the output folder.

    It is there in this process alone.
    """
    out = trial.folder / "out"
    lies = Path(trial.samples.results[command.after or command.arguments])
    num_bytes = 4_000_000 + 2 * sum(p.stat().st_size for p in lies.rglob("*") if p.is_file())
    if not _own_mounts():
        return _file_size_limit(trial, command)

    def mount() -> None:
        if out.exists():
            shutil.rmtree(out)
        out.mkdir()
        _mount(out, num_bytes)

    return "a disk", mount


def mount_small_disk(folder: Path, num_bytes: int) -> bool:
    """Puts a small file system in the place of an empty folder; False where that cannot be.

    This process and its children see it.
    """
    if not _own_mounts():
        return False
    _mount(folder, num_bytes)
    return True


def _mount(folder: Path, num_bytes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={num_bytes}".encode()):
        raise OSError(ctypes.get_errno(), "no tmpfs")


def _own_mounts() -> bool:
    """Gives this process mounts of its own, where it may."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNS if os.geteuid() == 0 else _CLONE_NEWNS | _CLONE_NEWUSER
    if libc.unshare(flags):
        return False
    return libc.mount(b"none", b"/", None, _MS_PRIVATE, None) == 0


def fill(trial: Trial, folder: Path) -> None:
    """Leaves a random number of bytes of a file system free, down to none."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_bsize
    leave = trial.rng.choice([0, 4096, 8192, 16_384, 65_536])
    with (folder / "filler").open("wb") as file:
        file.write(b"\0" * max(0, free - leave))
    trial.say(f"{trial.title} ({leave} bytes free)")
