"""Limits that no input can pass before work begins, and how a user raises one.

Every limit is an environment variable with a default that honest data rarely reach. Passing one is
a `VepeError` that names the variable.
"""

from __future__ import annotations

import os

from vepe.errors import VepeError

LIMITS = {
    "VEPE_MAX_PIXELS": 100_000_000,
    "VEPE_MAX_HELD_MB": 8192,
    "VEPE_MAX_DOCUMENT_MB": 4096,
    "VEPE_MAX_JSON_DEPTH": 64,
    "VEPE_MAX_TABLE_CELLS": 200_000_000,
    "VEPE_MAX_DOWNLOAD_MB": 100_000,
    "VEPE_MAX_DOWNLOAD_MINUTES": 1440,
}
"""Default of every limit: pixels of an image or frame; frames in memory at a time; JSON and text
files; nesting of JSON; cells of a table; size and time of a download."""

_GREATEST = {"VEPE_MAX_JSON_DEPTH": 300}  # values are walked recursively
_MAX_DIGITS = 18


def limit(name: str) -> int:
    """The present value of a limit.

    Raises:
        VepeError: if the environment variable is no positive integer, or too large.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return LIMITS[name]
    greatest = _GREATEST.get(name, 10**_MAX_DIGITS)
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else 0
    if not 0 < value <= greatest:
        raise VepeError(f"{name} is '{text[:40]}'; give an integer from 1 to {greatest}.")
    return value


def advice(name: str) -> str:
    """How to raise a limit, as the end of a sentence."""
    return f"or set {name} to more than {limit(name)}"
