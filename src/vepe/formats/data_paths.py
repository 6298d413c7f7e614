"""The rule for paths that come from data: a name in a label file never leads out of its folder.

Every reader that joins a name from a file to a folder uses `path_inside`, or `is_inside` where a
name that leads outside is skipped. Archives take member names that pass `is_relative_name`.
"""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from vepe.errors import VepeError


def is_relative_name(name: str) -> bool:
    """Whether a name from data is a relative path that a file can have: without '..', a drive, a
    null character or what is not valid Unicode."""
    parts = PureWindowsPath(name)  # knows both separators
    impossible = "\0" in name or any("\ud800" <= character <= "\udfff" for character in name)
    return not (parts.drive or parts.root or ".." in parts.parts or impossible)


def is_inside(root: Path, name: str) -> bool:
    """Whether `root / name` stays below `root`, symbolic links followed."""
    if not is_relative_name(name):
        return False
    top = os.path.realpath(root)
    return os.path.commonpath([top, os.path.realpath(Path(top, name))]) == top


def path_inside(root: Path, name: str) -> Path:
    """`root / name` for a name that comes from data.

    Raises:
        VepeError: where it is absolute, holds '..' or leaves `root` by a symbolic link.
    """
    if not is_inside(root, name):
        raise VepeError(
            f"The name {name!r} leads out of the folder '{root}', or is not valid; correct it."
        )
    return root / name
