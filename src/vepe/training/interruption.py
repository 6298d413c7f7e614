"""A clean stop: the first Ctrl-C (or SIGTERM) lets the present step end, a later one stops at once.

Schedulers and launchers end a job by SIGTERM, and often pass on a Ctrl-C that the process has
already seen itself: what comes within a second of the first signal is taken for the same one.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

SAME_S = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, `asked` tells whether somebody has asked for a stop.

    An optimiser stopped in the middle of a step would leave weights that belong to no step, so the
    loop asks after each one. Outside the main thread signals cannot be caught, and nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self.first_s = 0.0

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.before = [signal.signal(number, self._note) for number in SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(SIGNALS, self.before, strict=True):
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked and now - self.first_s > SAME_S:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self.first_s = True, now
