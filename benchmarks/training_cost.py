"""Operations of a recipe and what they mean in GPU hours: an estimate, nothing is trained.

    python benchmarks/training_cost.py [vepe-r50-coco ...] [--tflops 5 30]

A step costs 3 times the forward pass of its clips (the backward pass costs two), 4 times with
gradient checkpointing. Counted by PyTorch's FlopCounterMode on the meta device: convolutions and
matrix products, with a multiply-add as two operations. Denoising and losses are not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import StageConfig, TrainConfig
from vepe.models.build import build_model
from vepe.models.vepe import Vepe


@dataclass(frozen=True)
class Cost:
    """Operations of a whole recipe, and of one optimiser step of its last stage."""

    total: float
    last_step: float


def clip_flops(model: Vepe, stage: StageConfig) -> int:
    """Operations of the forward pass of one clip."""
    side, frames = stage.size_px, stage.frames
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.encode_frame(torch.zeros(1, 3, side, side))
    return frames * counter.get_total_flops()


def cost(name: str) -> Cost:
    """The operations of a recipe in one process. Stages need `steps`."""
    config = parse(TrainConfig, read_yaml(name, "recipes"), name)
    model_config = parse(ModelConfig, read_yaml(str(config.model)), "model")
    with torch.device("meta"):
        model = build_model(model_config).eval()
    passes = 4 if config.gradient_checkpointing else 3
    total, step = 0.0, 0.0
    for stage in config.stages:
        if stage.steps is None:
            raise SystemExit(f"{name}: stage '{stage.name}' has no steps")
        num_clips = stage.batch * config.accumulation(stage, processes=1)
        step = float(passes * clip_flops(model, stage) * num_clips)
        total += stage.steps * step
    return Cost(total, step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = [n for n in preset_names("recipes") if n.endswith(("-coco", "-posetrack"))]
    parser.add_argument("recipes", nargs="*", default=defaults)
    parser.add_argument(
        "--tflops", type=float, nargs="+", default=[5.0, 30.0],
        help="operations per second that a GPU attains in practice, in 10^12",
    )  # fmt: skip
    options = parser.parse_args()
    rates = "".join(f"{f'h at {rate:g} TFLOP/s':>18s}" for rate in options.tflops)
    print(f"{'recipe':28s}{'EFLOP':>8s}{'TFLOP a step':>14s}{rates}")
    for name in options.recipes:
        result = cost(name)
        hours = "".join(f"{result.total / (r * 1e12) / 3600:18.0f}" for r in options.tflops)
        print(
            f"{name:28s}{result.total / 1e18:8.2f}{result.last_step / 1e12:14.1f}{hours}",
            flush=True,
        )


if __name__ == "__main__":
    main()
