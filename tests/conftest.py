"""Fixtures for all tests: where the optional local data lie, and a fixed seed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Processes of pytest-xdist share the cores. With threads of their own they wait for each other.
# Runtimes read these when they load.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest

from vepe.inference.devices import keep_freed_memory

keep_freed_memory()  # the networks' tests run several times faster

# A shell that starts a job in the background, and nohup, let it ignore these.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of optional local data (not part of the repository); skips where it is absent."""
    root = Path(os.environ.get("VEPE_SHARED", Path(__file__).parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip("optional local data are not here")
    return root


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests leave the user's cache alone."""
    os.environ["VEPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, new for every test."""
    return np.random.default_rng(20250901)
