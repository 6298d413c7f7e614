"""What VEPE's thread policy is worth next to a busy process: frames and training steps.

    python benchmarks/busy_neighbour.py [--backends onnxruntime,torch] [--busy N] [--threads N]
        [--repeats 2] [--frames 16] [--clock cpu] [--train] [--json FILE]

Every row runs with the policy, under which threads of a network sleep while they wait
(`vepe.inference.devices.quiet_threads`), and with the settings that the libraries choose
themselves (VEPE_SPIN=1), each on the machine as it is and next to N processes that only count (one
for each core that this process may use). All of it alternates in one run, in processes of their
own. A frame is that of `vepe benchmark`; `--train` adds the step of benchmarks/bench_training.py.
`--threads` sets OMP_NUM_THREADS, for instance to more threads than cores, as PyTorch takes in a
container that may use two of 64 cores. `--clock cpu` counts the CPU time of a frame instead of the
time that passes: with it, a machine that is never idle can be used, too, as it shows what spinning
costs; a training step has only the time that passes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from vepe.inference.devices import available_cores

ROOT = Path(__file__).parents[1]
POLICIES = {"sleeping": "0", "spinning": "1"}
TRAIN = """
import runpy, sys
from vepe.inference.devices import quiet_threads
quiet_threads()  # as `vepe train`, before torch is loaded
sys.argv = ["bench_training.py", *sys.argv[1:]]
runpy.run_path("benchmarks/bench_training.py", run_name="__main__")
"""
Times = dict[tuple[str, str, str], list[float]]
"""Milliseconds by what runs, the policy and the load: idle or busy."""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Processes that count, on the same cores, until the block ends."""
    command = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def frame_ms(backend: str, options: argparse.Namespace, environment: dict[str, str]) -> float:
    """Median of a frame."""
    command = ["-m", "vepe", "benchmark", "--model", options.model, "--backend", backend]
    command += ["--frames", str(options.frames), "--clock", options.clock]
    result = _run(command, environment)
    return float(result["setups"][0]["median_ms"])


def step_ms(options: argparse.Namespace, environment: dict[str, str]) -> float:
    """A training step with its loader."""
    sizes = ["--batch", "4", "--size", "256", "--workers", "0", "--rounds", "1", "--steps", "2"]
    command = ["-c", TRAIN, "--model", options.model, "--device", "cpu", *sizes]
    return 4000 / float(_run(command, environment)["together_clips_s"]["median"])


def _run(command: list[str], environment: dict[str, str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        subprocess.run(
            [sys.executable, *command, "--json", path],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return json.loads(path.read_text())


def environment(spin: str, threads: int | None) -> dict[str, str]:
    """This process's variables but for those that speak about threads."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    stated = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return kept | stated | {"VEPE_SPIN": spin}


def measure(options: argparse.Namespace) -> Times:
    """All rows, repeated."""
    rows = [*options.backends.split(","), *(["training"] if options.train else [])]
    times: Times = defaultdict(list)
    for _, load in product(range(options.repeats), ("idle", "busy")):
        with busy(options.busy if load == "busy" else 0):
            for row, (policy, spin) in product(rows, POLICIES.items()):
                variables = environment(spin, options.threads)
                if row == "training":
                    spent = step_ms(options, variables)
                else:
                    spent = frame_ms(row, options, variables)
                times[row, policy, load].append(spent)
                print(f"{row}, {policy}, {load}: {spent:.0f} ms", flush=True)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--backends", default="onnxruntime,torch")
    parser.add_argument("--busy", type=int, default=available_cores(), help="busy processes")
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS; as the libraries choose")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--train", action="store_true", help="a training step, too")
    parser.add_argument("--json", type=Path, help="also write the times to this file")
    options = parser.parse_args()
    times = measure(options)
    print(f"\n{available_cores()} cores, {options.busy} busy processes, medians in ms:")
    print(f"{'':24} {'idle':>8} {'busy':>8} {'busy / idle':>12}")
    for row, policy in dict.fromkeys((row, policy) for row, policy, _ in times):
        idle_ms, busy_ms = (statistics.median(times[row, policy, x]) for x in ("idle", "busy"))
        print(f"{row + ', ' + policy:24} {idle_ms:8.0f} {busy_ms:8.0f} {busy_ms / idle_ms:12.1f}")
    if options.json is not None:
        lines = [{"row": r, "policy": p, "load": x, "ms": v} for (r, p, x), v in times.items()]
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
