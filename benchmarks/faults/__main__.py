"""Commits seeded faults against every command and counts the right answers.

    python benchmarks/faults [--seed 1] [--cases 1000] [--only KIND] [--case NUMBER] [--jobs 2]
                             [--minutes 8] [--skip 400]

`make faults` runs it. What a right answer is, and what the kinds are: docs/reliability.md. A case
is repeated with the same seed and its number: `--seed 1 --only media --case 17`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from campaign import Kind, Verdict, run_trials
from kinds import KINDS, PACKAGES, SHARES
from samples import Samples, make_samples
from undamaged import run_undamaged


def plan(kinds: list[str], num_cases: int) -> list[tuple[str, int]]:
    """Kind and number of every case: the kinds in the proportions of `SHARES`, interleaved."""
    total = sum(SHARES[kind] for kind in kinds)
    entries = []
    for kind in kinds:
        count = -(-num_cases * SHARES[kind] // total)
        entries += [((number + 0.5) / count, kind, number) for number in range(count)]
    return [(kind, number) for _, kind, number in sorted(entries)]


def before(entries: list[tuple[str, int]], until: float) -> Iterator[tuple[str, int]]:
    """The entries, as long as the monotonic clock is before `until`."""
    for entry in entries:
        if time.monotonic() > until:
            return
        yield entry


def load_everything() -> None:
    """Imports all of VEPE, so that a trial, which is a fork of this process, need not."""
    import vepe

    for module in pkgutil.walk_packages(vepe.__path__, "vepe."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # of packages of extras that are missing
                importlib.import_module(module.name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--cases", type=int, default=1000, help="number of cases, all kinds together"
    )
    parser.add_argument("--only", action="append", choices=list(KINDS), help="kind; repeatable")
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, help="stop after so many minutes")
    parser.add_argument(
        "--samples", type=Path, help="folder for the samples, made once and used again"
    )
    parser.add_argument("--skip", type=int, default=0, help="leave out the first cases")
    options = parser.parse_args()
    load_everything()
    torch.set_num_threads(1)  # threads do not survive a fork
    kinds: dict[str, Kind] = {name: KINDS[name] for name in options.only or KINDS}
    for name, (extra, packages) in PACKAGES.items():
        missing = [package for package in packages if find_spec(package) is None]
        if missing and kinds.pop(name, None) is not None:
            print(f"Kind {name} is left out: {missing[0]} is not installed (extra {extra}).")
    todo = plan(list(kinds), options.cases)
    if options.case is not None:
        todo = [(kind, options.case) for kind in kinds]
    with tempfile.TemporaryDirectory(prefix="vepe-faults-") as folder:
        begun = time.monotonic()
        gc.collect()
        gc.freeze()  # the collector of a fork leaves these objects, and so its memory, alone
        home = options.samples or Path(folder)
        problems = []
        if (home / "samples.json").exists():
            samples = Samples(home / "samples", *json.loads((home / "samples.json").read_text()))
        else:
            samples = make_samples(home / "samples")
            problems = run_undamaged(samples, home / "undamaged", options.jobs)
            values = [samples.results, samples.num_changes]
            (home / "samples.json").write_text(json.dumps(values))
        print(f"samples: {time.monotonic() - begun:.0f} s; seed {options.seed}", flush=True)
        verdicts = [Verdict("undamaged", i, text, text, 0.0) for i, text in enumerate(problems)]
        print("\n".join(problems))
        until = begun + 60 * (options.minutes or 1e6)
        part = before(todo[options.skip :], until)
        for verdict in run_trials(kinds, part, options.seed, samples, options.jobs):
            verdicts.append(verdict)
            if verdict.wrong:
                print(
                    f"{verdict.kind} {verdict.number}: {verdict.title}\n    {verdict.wrong}",
                    flush=True,
                )
            if len(verdicts) % 100 == 0:
                print(f"{len(verdicts)} of {len(todo)} cases", file=sys.stderr, flush=True)
        done = options.skip + len(verdicts) - len(problems)
        if done < len(todo):
            print(f"{done} of {len(todo)} cases; the rest: --skip {done}")
    return report(verdicts, time.monotonic() - begun)


def report(verdicts: list[Verdict], seconds: float) -> int:
    """Prints the table; returns the exit code."""
    tried = Counter(verdict.kind for verdict in verdicts)
    wrong = Counter(verdict.kind for verdict in verdicts if verdict.wrong)
    print(f"\n{'kind':14s}{'tried':>8s}{'right':>8s}{'wrong':>8s}{'CPU s':>8s}")
    for kind, count in tried.items():
        cpu_s = sum(verdict.cpu_s for verdict in verdicts if verdict.kind == kind)
        print(f"{kind:14s}{count:8d}{count - wrong[kind]:8d}{wrong[kind]:8d}{cpu_s:8.0f}")
    total, bad = len(verdicts), sum(wrong.values())
    print(f"{'all':14s}{total:8d}{total - bad:8d}{bad:8d}   {seconds / 60:.1f} minutes")
    return 1 if bad else 0


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    os._exit(exit_code)  # libraries would report what they leak
