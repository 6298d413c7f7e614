"""Whether a checkpoint may be gone on with under given settings.

Where data lie, on what machine a run computes and what it tells may change; what is computed may
not. Batches may be cut otherwise as long as an optimiser step sees the same clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FREE = frozenset(
    {
        "data_root",
        "workers",
        "device",
        "compile",
        "gradient_checkpointing",
        "checkpoint_minutes",
        "checkpoint_steps",
        "evaluation",
        "logging",
        "pictures_every",
        "accumulate",  # counted in the batches of the stages
    }
)
"""Options of a run that may change when it is resumed."""


FREE_IN_DATA = frozenset({"root", "images", "annotations", "shards", "strict"})
"""Where the data of a stage lie may change: what they hold is told by their fingerprint."""


def changed_keys(
    old: Mapping[str, Any], new: Mapping[str, Any], old_processes: int, new_processes: int
) -> list[str]:
    """Dotted names of the options that keep a run from going on; empty where it may.

    Args:
        old, new: the run's options as plain values.
        old_processes, new_processes: how many processes each has.
    """
    before = dict(_leaves(_comparable(old, old_processes)))
    now = dict(_leaves(_comparable(new, new_processes)))
    return sorted(
        key for key in before.keys() | now.keys() if before.get(key, ...) != now.get(key, ...)
    )


def _comparable(config: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Without free options; the batch of a stage as clips an optimiser step."""
    times = int(config.get("accumulate", 1)) * processes
    stages = [
        {**s, "batch": s["batch"] * times, "data": [_kept(d, FREE_IN_DATA) for d in s["data"]]}
        for s in config.get("stages", ())
    ]
    return {**_kept(config, FREE), "stages": stages}


def _kept(options: Mapping[str, Any], free: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in free}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values with their dotted places."""
    if isinstance(value, Mapping):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield path, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))
