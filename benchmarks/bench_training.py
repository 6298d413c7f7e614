"""Training speed on this machine: the loader alone, the step alone, and both together.

    python benchmarks/bench_training.py [--model vepe-n] [--device auto] [--precision fp32]
        [--workers 1 2] [--rounds 5] [--profile] [--json FILE]

Data are drawn (JPEGs of 640 x 480) unless --recipe and --data-root name real ones. Rounds of loader
and step alternate, so that a machine whose speed drifts affects both; quote the medians. A loader
with three times the throughput of the step never makes it wait.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from vepe.config.load import override, parse, read_yaml
from vepe.config.training import TrainConfig
from vepe.data.batch import Batch
from vepe.inference.devices import keep_freed_memory
from vepe.inference.torch_network import choose_device
from vepe.losses.criterion import Criterion, total
from vepe.losses.denoising import DenoisingSettings
from vepe.training.distributed import Processes, start_processes
from vepe.training.loader import StageLoader
from vepe.training.optimiser import build_optimiser, freeze, set_mode
from vepe.training.setup import enable_gradient_checkpointing
from vepe.training.start import build_start
from vepe.training.step import TrainingStep

TARGET = 3.0
"""Target throughput of a loader relative to the step."""


def drawn_recipe(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A recipe of one stage on drawn images, the backbone trained unless --freeze-backbone."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from draw_small_data import draw_coco

    draw_coco(folder, train=64, val=1, width=640, height=480)
    stage = {
        "name": "bench",
        "steps": 10**6,
        "frames": options.frames,
        "size_px": options.size,
        "batch": options.batch,
        "backbone_lr": 0.0 if options.freeze_backbone else 1e-5,
        "data": [{"kind": "coco", "images": "train2017", "motion": float(options.frames > 1)}],
    }
    return {"model": options.model, "data_root": str(folder), "stages": [stage]}


def configuration(options: argparse.Namespace, folder: Path) -> TrainConfig:
    """The recipe to measure; sizes on the command line have precedence."""
    if options.recipe is None:
        data = drawn_recipe(options, folder)
    else:
        data = read_yaml(options.recipe, "recipes")
        data["stages"] = [data["stages"][options.stage]]
        data["data_root"] = str(options.data_root)
    data = override(data, options.set)
    for name in ("init", "evaluation", "backbone_weights"):
        data[name] = None
    plain = {"pretrained_backbone": False, "accumulate": 1, "device": options.device}
    return parse(TrainConfig, {**data, **plain, "precision": options.precision}, "bench")


class Loader:
    """The loader of a stage with a number of workers."""

    def __init__(self, config: TrainConfig, workers: int, processes: Processes, seed: int) -> None:
        changed = config.model_copy(update={"workers": workers, "seed": seed})
        model_config, _ = build_start(config, load=False)
        stage, skeleton = config.stages[0], model_config.skeleton
        self.batches = iter(StageLoader(changed, stage, 0, 0, skeleton, processes))
        self.prefetched = 4 * workers + 1
        self.clips = stage.batch

    def batch(self) -> Batch:
        """The next batch."""
        return next(self.batches)[0][1]

    def clips_per_s(self, batches: int) -> float:
        """Clips per second, without the batches that were prefetched before."""
        for _ in range(self.prefetched):
            next(self.batches)
        start = time.perf_counter()
        for _ in range(batches):
            next(self.batches)
        return batches * self.clips / (time.perf_counter() - start)


class Step:
    """The trainer's step: forward and backward pass, losses, clipping, AdamW."""

    def __init__(self, config: TrainConfig, processes: Processes, *, fold: bool) -> None:
        torch.manual_seed(0)
        self.config, self.accelerator = config, processes.accelerator
        self.device, stage = processes.device, config.stages[0]
        model_config, self.model = build_start(config, load=False)
        if config.gradient_checkpointing:
            enable_gradient_checkpointing(self.model)
        self.model.backbone.to(memory_format=torch.channels_last)
        frozen = freeze(self.model, stage)
        sigmas = torch.tensor(model_config.skeleton.sigmas, device=self.device)
        module = TrainingStep(
            self.model,
            Criterion(sigmas, config.losses),
            DenoisingSettings(groups=stage.denoising_groups),
            identity=model_config.consistency.enabled,
            frozen_frames=frozen,
            fold=fold and not config.gradient_checkpointing,
        )
        optimiser = build_optimiser(self.model, stage, config.weight_decay)
        self.module, self.optimiser = self.accelerator.prepare(module, optimiser)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        set_mode(self.model)

    def run(self, batch: Batch) -> None:
        """One optimiser step."""
        with self.accelerator.autocast():
            parts = self.module(batch)
        self.accelerator.backward(total(parts))
        self.accelerator.clip_grad_norm_(self.trained, self.config.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def clips_per_s(self, batches: list[Batch]) -> float:
        """Clips per second on batches that are already in memory."""
        self._wait()
        start = time.perf_counter()
        for batch in batches:
            self.run(batch)
        self._wait()
        return sum(b.num_clips for b in batches) / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of the GPU, or of the process without one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class GpuMeter:
    """GPU utilisation inside the context, by nvidia-smi; None without a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.reader = device, None
        self.percent: float | None = None

    def __enter__(self) -> GpuMeter:
        if self.device.type == "cuda":
            query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            number = str(self.device.index or 0)
            try:
                self.reader = subprocess.Popen(
                    [*query, "-i", number, "-lms", "200"], stdout=subprocess.PIPE, text=True
                )
            except OSError:
                self.reader = None
        return self

    def __exit__(self, *_: object) -> None:
        if self.reader is not None:
            self.reader.terminate()
            lines = self.reader.communicate()[0].splitlines()
            values = [float(line) for line in lines if line.strip().isdigit()]
            self.percent = statistics.median(values) if values else None


def profile(step: Step, batch: Batch, rows: int) -> str:
    """Table of the most expensive operations of a step."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    kinds, sort = [ProfilerActivity.CPU], "self_cpu_time_total"
    if step.device.type == "cuda":
        kinds, sort = [*kinds, ProfilerActivity.CUDA], "self_cuda_time_total"
    step.run(batch)
    with record(activities=kinds) as profiled:
        for _ in range(3):
            step.run(batch)
    return str(
        profiled.key_averages().table(sort_by=sort, row_limit=rows, max_name_column_width=60)
    )


def measure(config: TrainConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Runs all rounds; returns the results."""
    processes = start_processes(config)
    step = Step(config, processes, fold=not options.unfolded)
    feeder = Loader(config, 0, processes, seed=1)
    batches = [feeder.batch() for _ in range(options.steps)]
    step.clips_per_s(batches[:1])  # warm-up
    steps, loads, both = [], {w: [] for w in options.workers}, []
    busy = None
    for round_number in range(options.rounds):
        with GpuMeter(processes.device) as meter:
            steps.append(step.clips_per_s(batches))
        busy = meter.percent if busy is None else busy
        for workers in options.workers:
            # One loader at a time: idle workers of another one would take its cores.
            loader = Loader(config, workers, processes, seed=2 + round_number)
            loads[workers].append(loader.clips_per_s(options.steps))
            if workers == options.workers[-1]:
                both.append(_together(step, loader, options.steps))
            del loader
    return {
        "model": config.model,
        "device": str(processes.device),
        "machine": machine(processes.device),
        "precision": config.precision,
        "batch": config.stages[0].batch,
        "frames": config.stages[0].frames,
        "size_px": config.stages[0].size_px,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "step_clips_s": summary(steps),
        "loader_clips_s": {str(w): summary(values) for w, values in loads.items()},
        "together_clips_s": summary(both),
        "ratio": statistics.median(loads[options.workers[0]]) / statistics.median(steps),
        "peak_memory_mb": peak_memory_mb(processes.device),
        "gpu_busy_percent": busy,
        "profile": profile(step, batches[0], options.rows) if options.profile else None,
    }


def _together(step: Step, loader: Loader, steps: int) -> float:
    """Clips per second with batches loaded while the step runs."""
    start = time.perf_counter()
    for _ in range(steps):
        step.run(loader.batch())
    step._wait()
    return steps * loader.clips / (time.perf_counter() - start)


def machine(device: torch.device) -> str:
    """Name of the GPU or processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def summary(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def show(result: dict[str, Any]) -> None:
    """Prints a result."""

    def line(name: str, values: dict[str, float]) -> None:
        print(f"{name}: {values['median']:.2f} clips/s"
              f" (min {values['min']:.2f}, max {values['max']:.2f})")  # fmt: skip

    print(
        f"{result['model']}, batch {result['batch']} clips of {result['frames']} frames at "
        f"{result['size_px']} px, precision {result['precision']}"
    )
    print(f"{result['machine']}, {result['threads']} threads, torch {result['torch']}")
    line("step alone", result["step_clips_s"])
    for workers, values in result["loader_clips_s"].items():
        line(f"loader alone, {workers} workers", values)
    line("together", result["together_clips_s"])
    verdict = "reached" if result["ratio"] >= TARGET else "missed"
    print(f"loader / step: {result['ratio']:.1f} (target {TARGET:g} {verdict})")
    print(f"peak memory: {result['peak_memory_mb']:.0f} MB on {result['device']}")
    if result["gpu_busy_percent"] is not None:
        print(f"GPU busy: {result['gpu_busy_percent']:.0f} %")
    if result["profile"]:
        print(result["profile"])


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--recipe", help="measure a stage of a recipe, with its real data")
    parser.add_argument("--data-root", type=Path, default=Path())
    parser.add_argument("--stage", type=int, default=0, help="which stage of the recipe")
    parser.add_argument("--set", action="append", default=[], help="change an option: key=value")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--freeze-backbone", action="store_true")
    parser.add_argument(
        "--unfolded", action="store_true", help="run a trained backbone's batch norms as they are"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="batches per round")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--rows", type=int, default=15, help="lines of the profile")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    keep_freed_memory()
    choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(configuration(options, Path(folder)), options)
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
