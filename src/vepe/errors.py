"""The error and the warning that are meant for users.

Whatever a user can fix (a broken file, a wrong option, a missing package) raises `VepeError` with
one clear sentence that names the thing and says what to do. The command line prints that sentence
and exits with code 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations


class VepeError(Exception):
    """A problem that the user can fix; its text is one sentence that says how."""


class VepeWarning(UserWarning):
    """Something that a user should know and that stops nothing; shown once, in one line."""
