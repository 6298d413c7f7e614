"""A connection to a Ray cluster, or a Ray of our own on this machine."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vepe.errors import VepeError, missing_extra
from vepe.inference.devices import available_cores
from vepe.temporary_folders import temporary_folder

MIN_RAY = (2, 30)
CONNECT_S = 5.0
RAY_PREFIX = "vepe.ray-"
"""Of the folder of a local Ray."""
_STORE_BYTES = 100_000_000
"""Of a local object store. Tasks and reports are small; videos and poses never pass through it."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # All lines: Ray prints a page to our stdout for each worker that dies.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""Variables that are set unless the user has set them, before Ray is loaded."""


def check_ray() -> None:
    """Raises VepeError where Ray is missing or too old; does not load it."""
    if find_spec("ray") is None:
        raise missing_extra("--on ray", "ray", "cluster")
    from importlib.metadata import version

    stated = version("ray")
    if tuple(int(part) for part in stated.split(".")[:2]) < MIN_RAY:
        least = ".".join(map(str, MIN_RAY))
        raise VepeError(f"Ray {stated} is too old; install the cluster's, {least} or later.")


@contextmanager
def ray_session(address: str | None, cores: int | None = None) -> Iterator[Any]:
    """The module `ray`, connected; disconnected at the end, and a local Ray shut down.

    Args:
        cores: CPU cores of a local Ray; None: those of this machine.
        address: `auto` on a machine of a cluster, HOST:PORT of its head, or ray://HOST:10001 from
            outside; None starts a Ray on this machine, without dashboard and telemetry.

    Raises:
        VepeError: where there is no such cluster, or its versions of Ray or Python are others.
    """
    check_ray()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is not None:
        _check_reachable(address)
    import ray

    options: dict[str, Any] = {
        "logging_level": "ERROR",
        "log_to_driver": False,
        "configure_logging": False,
    }
    with ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(_ray_folder())
            options |= {
                "address": "local",
                "num_cpus": cores or available_cores(),
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_temp_dir": str(folder),
            }
        else:
            options["address"] = address
        stack.callback(ray.shutdown)
        try:
            with _own_signals():
                ray.init(**options)
        except Exception as error:  # ConnectionError, RuntimeError, ValueError: by version
            raise _sentence(address, error) from None
        yield ray


@contextmanager
def _ray_folder() -> Iterator[Path]:
    """Where a local Ray keeps its sockets, objects and logs; what killed drivers left is removed.

    Raises:
        VepeError: where it cannot be created.
    """
    # Short: names of sockets in it have at most 107 characters.
    short = Path("/tmp")
    with ExitStack() as stack:
        try:
            parent = short if short.is_dir() else None
            folder = stack.enter_context(temporary_folder(RAY_PREFIX, parent))
        except OSError as error:
            raise VepeError(
                f"Ray cannot be started on this machine: it needs a folder in '{short}' "
                f"({error.strerror}); free some space there."
            ) from None
        yield folder


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps our handler of SIGTERM: Ray replaces it by one that ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Raises VepeError where nothing answers: Ray itself would try for a minute."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _last_cluster()
    if address in ("", "auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise VepeError(
            f"'{address}' is no address of a Ray cluster; give auto, HOST:6379 or ray://HOST:10001."
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise VepeError(
            f"No Ray cluster answers at '{address}' ({reason}); check the address, the firewall "
            "and that `ray start --head` runs there."
        ) from None


def _last_cluster() -> str:
    """The address that `auto` stands for: the last one that was started on this machine, be it
    alive or not. Empty where Ray has to find it in another way."""
    path = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.rpartition(":")[2].isdecimal() else ""


def _sentence(address: str | None, error: Exception) -> VepeError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)
    if "ersion mismatch" in text or "versions" in text.lower():
        return VepeError(
            f"The cluster at '{address}' runs another version of Ray or Python ({text[:200]}); "
            "install the cluster's versions here."
        )
    if address is None:
        return VepeError(f"Ray cannot be started on this machine ({text[:200]}).")
    return VepeError(
        f"No Ray cluster can be reached at '{address}' ({text[:200]}); start one with `ray start "
        "--head`, set RAY_AUTH_MODE=token if it asks for a token, or leave --address out for a Ray "
        "on this machine alone."
    )
