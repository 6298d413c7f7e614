"""The formats whose packages are installed."""

from __future__ import annotations

from importlib.util import find_spec

from vepe.formats.conversion import TARGETS
from vepe.formats.tracks import EXTRAS, WRITERS


def usable_targets() -> list[str]:
    """Targets of `vepe convert`."""
    return [name for name in TARGETS if _is_usable(name)]


def readable_results() -> list[str]:
    """Formats of results that hold poses and are read back."""
    return [n for n in WRITERS if n not in ("mot", "nwb", "rerun") and _is_usable(n)]


def _is_usable(name: str) -> bool:
    return name not in EXTRAS or find_spec(EXTRAS[name][0]) is not None
