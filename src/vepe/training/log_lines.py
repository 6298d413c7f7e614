"""`log.jsonl`: one JSON object a line, written as a run goes, read by the page and the grid.

A line of losses holds `stage`, `stage_index` (from 0), `step` (of the stage, from 0), `run_step`
(of the whole run), `elapsed_s` (seconds of training, pauses left out), and means over the steps
since the line before: `loss`, its parts (`name/part`), `lr`, `clips_per_s`, `frames_per_s`,
`memory_gib`, `gpu_gib` where there is a GPU, and `unreadable` where pictures could not be read (how
many so far). A line of an evaluation holds `evaluation`, a mapping of metrics, in place of the
losses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.files import replacing

LOG_NAME = "log.jsonl"
Line = dict[str, Any]


def read_log(path: Path) -> list[Line]:
    """All lines of a log in order; empty where there is none.

    A last line that a crash cut off is left out.

    Raises:
        VepeError: where any other line is not a JSON object.
    """
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError
        except ValueError:
            if number == len(texts):
                break
            raise VepeError(
                f"Line {number} of '{path}' is not a JSON object; take it out to go on."
            ) from None
        lines.append(line)
    return lines


def keep_before(path: Path, stage_index: int, step: int) -> list[Line]:
    """Cuts off what a log says of `step` of a stage and later, and returns what stays.

    A run that goes on from a checkpoint does those steps once more.
    """
    lines = read_log(path)
    kept = [line for line in lines if (_at(line)) < (stage_index, step)]
    if path.is_file():
        with replacing(path) as beside:
            beside.write_text(as_text(kept), encoding="utf-8")
    return kept


def as_text(lines: Iterable[Line]) -> str:
    """The lines as they stand in the file; what is not finite becomes null."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def _at(line: Line) -> tuple[int, int]:
    return int(line.get("stage_index", 0)), int(line.get("step", 0))
