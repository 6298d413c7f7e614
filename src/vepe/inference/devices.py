"""Names of devices, and faster memory for networks on a CPU; no torch."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

from vepe.errors import VepeError

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,4})?")

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # from <malloc.h>


def check_device(name: str) -> None:
    """Raises VepeError where the name is no device, whether or not this machine has it."""
    if not _DEVICE.fullmatch(name):
        raise VepeError(f"'{name}' is no device; give auto, cpu, cuda, cuda:1 or mps.")


def available_cores() -> int:
    """How many CPU cores this process may use: its affinity, the quota of its cgroup, and what
    OMP_NUM_THREADS says, which users and clusters set for several processes on one machine."""
    cores = _affinity()
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    wanted = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 6 else 0
    return max(1, min(cores, _quota() or cores, wanted or cores))


def _affinity() -> int:
    """On how many cores this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _quota() -> int | None:
    """The CPU quota of this process's cgroup in cores, rounded up; None without one."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()  # version 2
    except (OSError, ValueError):
        try:
            folder = Path("/sys/fs/cgroup/cpu")  # version 1
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    if not quota.strip().isdigit():  # "max" or -1
        return None
    return -(-int(quota) // int(period))


def spinning() -> bool:
    """Whether threads of a network that wait for work should spin rather than sleep.

    Spinning threads take the time of whatever else runs on the machine. Off unless the environment
    variable VEPE_SPIN is 1.
    """
    return os.environ.get("VEPE_SPIN", "0") == "1"


def quiet_threads() -> None:
    """Sets up the threads of OpenMP, which PyTorch uses, by variables of the environment.

    They sleep while they wait, see `spinning`. In a container with a quota there are no more of
    them than cores, as PyTorch does not look at quotas: 64 threads that share the time of two cores
    wait for each other. It works only before torch is loaded, and values of the user's own win.
    """
    if not spinning():
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        os.environ.setdefault("KMP_BLOCKTIME", "0")
    if (quota := _quota()) is not None and quota < _affinity():
        os.environ.setdefault("OMP_NUM_THREADS", str(quota))


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory in this process, which makes networks on a CPU faster.

    glibc returns large blocks to the kernel as soon as they are freed. A network asks for the same
    sizes again a moment later, and the kernel clears every page again: element-wise operations can
    cost several times as much. Memory use stays at its peak instead; the peak itself is the same.

    The setting holds for the whole process, so the library never calls this by itself; the `vepe`
    command does. Call it once at the start of a program that runs models on a CPU.

    Returns:
        Whether it worked: on Linux with glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(key, value) == 1 for key, value in settings)
