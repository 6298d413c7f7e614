"""Kinds `media`, `documents` and `settings`: a damaged input for every command that reads one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import run_vepe
from campaign import Trial, WrongError
from commands import COMMANDS, Command
from inputs import prepare

MEDIA = {"video", "image", "frames"}
DOCUMENTS = {"json", "lines", "table", "parquet", "mat", "openpose"}
SETTINGS = {"yaml", "binary", "onnx"}
_LOSSY = (".ts", ".mpg", ".h264")


def media(trial: Trial) -> None:
    """Damaged videos and images: a result, or a sentence; at least ffmpeg's number of frames."""
    _damaged_input(trial, MEDIA)


def documents(trial: Trial) -> None:
    """Damaged annotations and results: a result, or a sentence."""
    _damaged_input(trial, DOCUMENTS)


def settings(trial: Trial) -> None:
    """Damaged configurations and weights: a result, or a sentence."""
    _damaged_input(trial, SETTINGS)


def draw(trial: Trial, choices: list[Command]) -> Command:
    """One of the commands, slow ones less often."""
    return trial.rng.choices(choices, [0.25 if c.slow else 1.0 for c in choices])[0]


def _damaged_input(trial: Trial, kinds: set[str]) -> None:
    choices = [c for c in COMMANDS if any(kind in kinds for kind, _ in c.damage)]
    command = draw(trial, choices)
    done = prepare(trial, command, kinds)
    trial.say(f"{command.arguments} | {done}")
    inputs = run_vepe.snapshot(trial.folder / "in")
    before = run_vepe.snapshot(trial.folder / "out")
    answer = run_vepe.run(command.words(trial.folder), trial.folder)
    run_vepe.check(answer, codes=command.codes, log=command.logs)
    run_vepe.check_files(trial.folder / "out", before=before)
    if run_vepe.snapshot(trial.folder / "in") != inputs:
        raise WrongError("an input was changed")
    strange = [p.name for p in trial.folder.iterdir() if p.name not in ("in", "out")]
    if strange:
        raise WrongError(f"wrote to the working directory: {strange}")
    if answer.code == run_vepe.DONE:
        missing = [name for name in command.writes if not (trial.folder / "out" / name).exists()]
        if missing:
            raise WrongError(f"exit code 0, but no {missing}: {answer.out[-200:]}")
    if command.arguments.startswith("track") and "--start" not in command.arguments:
        _compare_with_ffmpeg(trial, command)


def _compare_with_ffmpeg(trial: Trial, command: Command) -> None:
    """Raises WrongError if the ffmpeg command line decodes more frames than VEPE tracked."""
    import json

    if len(command.damage) != 1:
        return
    kind, name = command.damage[0]
    source = trial.folder / "in" / name
    if (
        kind != "video"
        or "*" in name
        or shutil.which("ffmpeg") is None
        or "--stride" in command.arguments
    ):
        return
    result = trial.folder / "out" / f"{Path(name).stem}.json"
    num_tracked = len(json.loads(result.read_bytes())["images"]) if result.exists() else 0
    call = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", str(source),
            "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc", "-"]  # fmt: skip
    done = subprocess.run(call, capture_output=True, timeout=60, check=False)
    lines = done.stdout.decode("ascii", "replace").splitlines()
    num_decoded = sum(1 for line in lines if line and not line.startswith("#"))
    if num_decoded > num_tracked:
        raise WrongError(f"{num_tracked} frames, but ffmpeg decodes {num_decoded}")
