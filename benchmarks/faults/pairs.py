"""Kind `pairs`: the same command twice at a time, into the same place.

The first one stops before one of its file changes, until the second one has come to one of its own,
or has ended; the second one then goes on, or waits for the end of the first.
"""

from __future__ import annotations

import mmap
import shutil
import time
from collections.abc import Callable

import run_vepe
from campaign import Trial, WrongError
from commands import COMMANDS, Command
from readers import draw
from run_vepe import DONE, LOST
from undamaged import on_change

_FIRST_STOPS, _SECOND_STOPS, _FIRST_ENDED, _SECOND_ENDED = range(4)


def pairs(trial: Trial) -> None:
    """Results are whole, and what one has written is not replaced by the other without a word."""
    command = draw(trial, [c for c in COMMANDS if c.writes])
    trial.samples.begin(command.inputs, command.after, trial.folder)
    count = trial.samples.num_changes[command.arguments]
    at, second_at = trial.rng.randint(1, count + 1), trial.rng.randint(1, count + 1)
    waits, had_old = trial.rng.random() < 0.5, trial.rng.random() < 0.3
    trains = command.logs and "--grid" not in command.arguments
    trial.say(
        f"{command.arguments} | twice: before change {at}, the other one until {second_at} of "
        f"{count}, waits {waits}, old {had_old}"
    )
    if had_old and not command.after:
        shutil.copytree(trial.samples.results[command.arguments], trial.folder / "out")
    words = command.words(trial.folder, overwrite=had_old)
    if had_old and trains:
        words.append("--resume")
    for answer in (answers := _run_both(trial, words, at, second_at, waits=waits)):
        codes = {DONE, LOST, *command.codes}
        run_vepe.check(answer, codes=tuple(codes), log=command.logs)
    run_vepe.check_files(trial.folder / "out")
    missing = [name for name in command.writes if not (trial.folder / "out" / name).exists()]
    if missing:
        raise WrongError(f"no {missing}: {_texts(answers)}")
    both = all(answer.code == DONE for answer in answers)
    if both and not had_old and (trains or _refuses_existing(command)):
        raise WrongError(f"both say that they wrote it: {_texts(answers)}")


def _refuses_existing(command: Command) -> bool:
    return command.old and "--resume" not in command.arguments


def _texts(answers: list[run_vepe.Answer]) -> str:
    return " | ".join(f"{answer.code}: {answer.err[-200:]}" for answer in answers)


def _run_both(
    trial: Trial, words: list[str], at: int, second_at: int, *, waits: bool
) -> list[run_vepe.Answer]:
    """The answers of both; which one stops where, and for how long: see the module."""
    state = mmap.mmap(-1, 4)  # shared by the processes

    def until(*flags: int) -> None:
        while not any(state[flag] for flag in flags):
            time.sleep(0.002)

    def first(change: int) -> None:
        if change == at:
            state[_FIRST_STOPS] = 1
            until(_SECOND_STOPS, _SECOND_ENDED)

    def second(change: int) -> None:
        if change == second_at:
            state[_SECOND_STOPS] = 1
            if waits:
                until(_FIRST_ENDED)

    def begin(act: Callable[[int], None], name: str) -> run_vepe.Started:
        return run_vepe.start(words, trial.folder, on_change(act), name)

    one = begin(first, "first")
    while not state[_FIRST_STOPS] and not one.ended():
        time.sleep(0.002)
    two = begin(second, "second")
    while not (one.ended() and two.ended()):
        state[_FIRST_ENDED], state[_SECOND_ENDED] = one.ended(), two.ended()
        time.sleep(0.002)
    return [run_vepe.answer_of(one), run_vepe.answer_of(two)]
