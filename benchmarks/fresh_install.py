"""What an installation takes: seconds, megabytes by package, and how soon it has started.

    python benchmarks/fresh_install.py [--python python3.12] [--extras serve] [--latest]

In a new virtual environment it runs `pip install .` (with constraints.txt, unless `--latest`), and
adds up the files of every package that this installs: pip and setuptools, which belong to the
environment, do not count. Bytecode, which pip writes for every module at once and uv only when a
module is used, stands apart. Then it times `vepe --help` and the first frame of a clip, each in
processes of their own. Requires access to a package index.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 5
SMALL_MB = 3.0
NOT_COUNTED = {"pip", "setuptools"}

FIRST_FRAME = """
import sys, vepe
print(next(iter(vepe.load("vepe-n").track(sys.argv[1]))))
"""


@dataclass(frozen=True)
class Package:
    """Megabytes (10^6 bytes) on disk."""

    name: str
    files_mb: float
    bytecode_mb: float


def packages(site: Path) -> list[Package]:
    """Everything installed in a folder, the largest first."""
    sizes = []
    for distribution in distributions(path=[str(site)]):
        files = [Path(str(f.locate())) for f in distribution.files or () if f.locate().is_file()]
        code = sum(f.stat().st_size for f in files if f.suffix == ".pyc") / 1e6
        whole = sum(f.stat().st_size for f in files) / 1e6
        sizes.append(Package(distribution.metadata["Name"], whole - code, code))
    counted = [size for size in sizes if size.name not in NOT_COUNTED]
    return sorted(counted, key=lambda size: -size.files_mb - size.bytecode_mb)


def install(folder: Path, python: str, extras: str, latest: bool) -> tuple[Path, float]:
    """A new environment with VEPE in it; its folder of programs, and the seconds of pip."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    what = f"{ROOT}[{extras}]" if extras else str(ROOT)
    pins = [] if latest else ["--constraint", str(ROOT / "constraints.txt")]
    command = [programs / "python", "-m", "pip", "install", "--quiet", *pins, what]
    begun_s = time.monotonic()
    subprocess.run([*command, "--disable-pip-version-check"], check=True, env=environment())
    return programs, time.monotonic() - begun_s


def environment() -> dict[str, str]:
    """The variables of this process without those that lead Python to other packages."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return inherited | {"PYTHONNOUSERSITE": "1"}


def seconds(command: list[str | Path], folder: Path) -> tuple[float, float]:
    """Medians of the time that passes and of the CPU time, over new processes."""
    wall, cpu = [], []
    for _ in range(RUNS):
        before, begun_s = _children_s(), time.monotonic()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall.append(time.monotonic() - begun_s)
        cpu.append(_children_s() - before)
    return statistics.median(wall), statistics.median(cpu)


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def print_sizes(sizes: list[Package]) -> None:
    """One line for each package of `SMALL_MB` or more, one for the others, and the sum."""
    large = [size for size in sizes if size.files_mb + size.bytecode_mb >= SMALL_MB]
    small = sizes[len(large) :]
    print(f"{'MB':30} {'files':>7} {'bytecode':>9}")
    for size in (*large, _sum(f"{len(small)} others", small), _sum("all", sizes)):
        print(f"{size.name:30} {size.files_mb:7.1f} {size.bytecode_mb:9.1f}")


def _sum(name: str, sizes: list[Package]) -> Package:
    return Package(name, sum(s.files_mb for s in sizes), sum(s.bytecode_mb for s in sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--python", default=sys.executable, help="Python of the new environment")
    parser.add_argument("--extras", default="", help="for instance serve,report")
    parser.add_argument("--latest", action="store_true", help="without constraints.txt")
    parser.add_argument("--clip", type=Path, default=ROOT / "assets" / "store_aisle.mp4")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, clip = Path(name), options.clip.resolve()
        venv = folder / "venv"
        programs, installed_s = install(venv, options.python, options.extras, options.latest)
        print(f"pip install: {installed_s:.0f} s\n")
        print_sizes(packages(next(venv.rglob("site-packages"))))
        for what, command in (
            ("vepe --help", [programs / "vepe", "--help"]),
            ("first frame of vepe-n", [programs / "python", "-c", FIRST_FRAME, clip]),
        ):
            wall_s, cpu_s = seconds(command, folder)
            print(f"\n{what}: {wall_s:.2f} s, of CPU time {cpu_s:.2f} s", end="")
        print()


if __name__ == "__main__":
    main()
