"""What the process of the `vepe` command sets up before a command runs."""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from vepe.errors import VepeError

_ASKED_FOR = ("NCCL_DEBUG", "TORCH_CPP_LOG_LEVEL", "TORCH_DISTRIBUTED_DEBUG", "AV_LOG_FORCE_COLOR")
"""Variables with which users ask libraries for their own lines."""


def set_up() -> None:
    """Streams, signals and libraries, once per process.

    SIGTERM and SIGHUP end a command as Ctrl-C does: it removes what is half written. Lines that
    libraries in C write to stderr would stand next to our sentence, so they go nowhere, unless
    Python is asked for warnings or a library for its lines. Crashes are still reported.
    """
    open_missing_streams()
    asked = any(name in os.environ for name in _ASKED_FOR)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hints for programmers, per process
    if not sys.warnoptions and not asked:
        _separate_stderr()
    _hide_reported_errors()
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)


def check_current_folder() -> None:
    """Raises VepeError where the current folder was deleted: libraries end without a word there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise VepeError("The current folder was deleted; change to one that exists.") from None


def _hide_reported_errors() -> None:
    """Prints no traceback of a thread that keeps its error for its owner, who reports it.

    TensorBoard's writer is such a thread: on a full disk, the run says so and continues.
    """
    before = threading.excepthook

    def show(error: threading.ExceptHookArgs) -> None:
        if getattr(error.thread, "exception", None) is not error.exc_value:
            before(error)

    threading.excepthook = show


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def open_missing_streams() -> None:
    """Opens stdin, stdout and stderr on the null device where the parent process closed them.

    Otherwise a result file would get the number of a standard stream, and messages of libraries
    would end up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        setattr(sys, name, os.fdopen(number, mode))


def _separate_stderr() -> None:
    """Gives Python's stderr a descriptor of its own, and what libraries write to 2 to no one."""
    if not isinstance(sys.stderr, io.TextIOWrapper):
        return
    sys.stderr.flush()
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    own = os.fdopen(os.dup(2), "w", buffering=1, encoding=encoding, errors=errors)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    sys.stderr = own
    faulthandler.enable(own)
