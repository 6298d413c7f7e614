"""Signals: the first asks for a stop, its echo is nothing, a later one stops at once."""

from __future__ import annotations

import os
import signal

import pytest

from vepe.training import interruption as module
from vepe.training.interruption import Interruption


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_signals(first: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(first)
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with Interruption() as interruption:
        assert not interruption.asked
        os.kill(os.getpid(), first)
        assert interruption.asked
        now += 0.5
        os.kill(os.getpid(), signal.SIGINT)  # passed on by a launcher
        now += 1.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(first) == before
