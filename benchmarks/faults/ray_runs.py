"""Kind `ray`: `vepe track --on ray` that is ended, has no room, or gets a hostile table of videos.

A Ray of this machine takes seconds to start, so there are few cases. Whatever becomes of a run, one
without Ray completes it.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import run_vepe
from campaign import Trial, WrongError
from interruptions import fill, mount_small_disk
from run_vepe import DONE, INTERRUPTED, LOST, PART_FAILED
from undamaged import on_change

_RESULTS = ("one.json", "one.csv", "two.json", "two.csv")
_MOST_CHANGES = 12
"""Changes of the driver in the result folder; the results are written by workers."""
_NAMES = (
    "../up", "/tmp/vepe-absolute", "a/../../up", "a\nb", "\x1b[31mred", "\u202eevil", ".", "..",
    "", "con", "a" * 300, "~root", "$HOME", "one", "ONE", ".hidden", "-o",
)  # fmt: skip
_SOURCES = (
    "/etc/passwd", "file:///etc/passwd", "../../../../etc/passwd", "/dev/zero", "videos", "",
    "http://127.0.0.1:9/x.mp4", "s3://nowhere/x.mp4", "videos/mkv_clip.mkv", "a\0b", "-",
    "concat:videos/mkv_clip.mkv", "videos.csv", "x\x1b[31m.mp4", "a" * 5000,
)  # fmt: skip


def ray(trial: Trial) -> None:
    """Results are whole, or missing; and the rest is done by the next call."""
    trial.samples.copy(("videos", "videos.csv", trial.samples.small_model), trial.folder / "in")
    trial.rng.choice([_signal, _signal, _small_disk, _hostile_table])(trial)


def _words(trial: Trial, *more: str) -> list[str]:
    folder = trial.folder
    model = ["--model", str(folder / "in" / trial.samples.small_model), "--imgsz", "64"]
    words = ["track", str(folder / "in/videos.csv"), "-o", str(folder / "out"), "--no-video"]
    return [*words, "--format", "csv", "--quiet", *model, *more]


_ON_RAY = ("--on", "ray", "--workers", "1")


def _signal(trial: Trial) -> None:
    """A signal before a change that the driver makes to the result folder."""
    number = trial.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    at, had_old = trial.rng.randint(1, _MOST_CHANGES), trial.rng.random() < 0.5
    trial.say(f"{number.name} before change {at} of the driver, old {had_old}")
    if had_old:
        run_vepe.check(run_vepe.run(_words(trial), trial.folder), codes=(DONE,))

    def act(change: int) -> None:
        if change == at:
            os.kill(os.getpid(), number)

    more = (*_ON_RAY, "--overwrite") if had_old else _ON_RAY
    arm = on_change(act, below=trial.folder / "out")
    answer = run_vepe.run(_words(trial, *more), trial.folder, arm)
    died = answer.code == -number and number != signal.SIGINT
    if not died:
        run_vepe.check(answer, codes=(DONE, INTERRUPTED))
    _check_results(trial, leftovers=died, complete=had_old)
    _complete(trial)


def _small_disk(trial: Trial) -> None:
    """A result folder on a disk of which little is free."""
    trial.say("a small disk")
    out = trial.folder / "out"
    out.mkdir()
    if not mount_small_disk(out, 2_000_000):
        trial.say("no small disk here")
        return
    fill(trial, out)
    answer = run_vepe.run(_words(trial, *_ON_RAY), trial.folder)
    run_vepe.check(answer, codes=(DONE, LOST, PART_FAILED))
    (out / "filler").unlink()
    _check_results(trial, leftovers=False, complete=answer.code == DONE)
    _complete(trial)


def _hostile_table(trial: Trial) -> None:
    """A table whose names, sources or form mean harm."""
    table = trial.folder / "in/videos.csv"
    rows = [["videos/mkv_clip.mkv", "one"], ["videos/avi_clip.avi", "two"]]
    for _ in range(trial.rng.randint(1, 2)):
        column = trial.rng.randrange(2)
        rows[trial.rng.randrange(2)][column] = trial.rng.choice((_SOURCES, _NAMES)[column])
    head = trial.rng.choice(["source,name"] * 4 + ["name,name", "source,source", "x", ""])
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    data = "\n".join([head, *lines]).encode("utf-8", "replace") + b"\n"
    if trial.rng.random() < 0.2:
        at = trial.rng.randrange(len(data))
        data = data[:at] + trial.rng.choice([b"\xff\xfe", b"\0", b'"', b"\r"]) + data[at:]
    table.write_bytes(data)
    trial.say(f"table {data!r:.200}")
    before = run_vepe.snapshot(trial.folder / "in")
    answer = run_vepe.run(_words(trial, *_ON_RAY), trial.folder)
    run_vepe.check(answer, codes=(DONE, LOST, PART_FAILED))
    if any(character in answer.err + answer.out for character in "\x1b\u202e"):
        raise WrongError(f"control characters reach the terminal: {answer.err!r:.300}")
    if run_vepe.snapshot(trial.folder / "in") != before:
        raise WrongError("an input was changed")
    _check_results(trial, leftovers=False, complete=False)


def _check_results(trial: Trial, *, leftovers: bool, complete: bool) -> None:
    out = trial.folder / "out"
    run_vepe.check_files(out, leftovers=leftovers)
    strange = {p.name for p in trial.folder.iterdir()} - {"in", "out"}
    if strange or Path("/tmp/vepe-absolute").exists():
        raise WrongError(f"wrote outside of its folder: {sorted(strange)}")
    missing = [name for name in _RESULTS if not (out / name).exists()]
    if complete and missing:
        raise WrongError(f"{missing} lost")


def _complete(trial: Trial) -> None:
    """The same without Ray does what is missing, and leaves nothing hidden."""
    answer = run_vepe.run(_words(trial, "--resume"), trial.folder)
    try:
        run_vepe.check(answer, codes=(DONE,))
        shutil.rmtree(trial.folder / "out/vepe_run", ignore_errors=True)
        _check_results(trial, leftovers=False, complete=True)
    except WrongError as error:
        raise WrongError(f"at the next run: {error}") from None
