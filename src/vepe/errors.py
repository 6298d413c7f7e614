"""The error and the warning that are meant for users.

Whatever a user can fix (a broken file, a wrong option, a missing package) raises `VepeError` with
one clear sentence that names the thing and says what to do. The command line prints that sentence
and exits with code 2 (3 for a `BatchError`); anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import re

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system errors of a full disk and of a full quota."""


class VepeError(Exception):
    """A problem that the user can fix; its text is one sentence that says how."""


class BatchError(VepeError):
    """Part of a batch failed and the rest is done; the command line exits with code 3.

    Its text is the last line for the user: how many failed, and how to run those again.
    """


class VepeWarning(UserWarning):
    """Something that a user should know and that stops nothing; shown once, in one line."""


def missing_extra(what: str, package: str, extra: str) -> VepeError:
    """The error of a part that needs an optional package; `what` starts the sentence.

    VEPE is not on PyPI, so the extra is installed from where VEPE itself came from.
    """
    return VepeError(
        f"{what} needs the package {package}; install it with pip install '.[{extra}]' in a clone "
        "of VEPE, or with the wheel's name instead of the dot."
    )


def printable(text: str, *, lines: bool = False) -> str:
    """The text with characters that a terminal obeys, or cannot encode, written as escapes.

    These are control characters, among them line feeds and tabs, since names of files and labels
    may hold them; direction overrides; and the stand-ins for bytes of file names that are not
    UTF-8.

    Args:
        text: one line, or a part of one.
        lines: whether it is a text of several lines instead, whose line feeds and tabs stay.
    """
    wanted = _UNPRINTABLE if lines else _UNPRINTABLE_IN_LINE
    return wanted.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(error: BaseException) -> str:
    """What an error of a library says, without its line feeds, as part of a sentence."""
    return " ".join(str(error).split())


def counted(count: int, what: str, several: str | None = None) -> str:
    """A number with its noun: '1 frame', '2 frames', '3 people'."""
    return f"{count} {what}" if count == 1 else f"{count} {several or what + 's'}"


_OTHERS = r"\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_UNPRINTABLE = re.compile(r"[\x00-\x08" + _OTHERS)
_UNPRINTABLE_IN_LINE = re.compile(r"[\x00-\x0a" + _OTHERS)


def check_name(name: str) -> None:
    """Raises VepeError for a file name that results cannot hold, since it is not UTF-8."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise VepeError(f"The file name '{printable(name)}' is not UTF-8; rename the file.")
