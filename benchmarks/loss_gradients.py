"""Which loss trains which module: norms of each loss's gradient in the modules of the model.

    python benchmarks/loss_gradients.py RECIPE.yaml [--stage -1] [--batches 6] [--set KEY=VALUE]

All losses share the FPN neck and the backbone, where AdamW sees only their sum: a loss whose
gradient norm is ten times that of the others is nearly the only one that counts there. The losses
of all layers are summed before the norm. The gradients are those of single batches, so noise counts
as much as what they have in common.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from statistics import fmean
from typing import Any

import torch

from vepe.config.load import override, parse, read_yaml
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.losses.criterion import Criterion
from vepe.losses.denoising import DenoisingSettings
from vepe.training.distributed import start_processes
from vepe.training.loader import StageLoader
from vepe.training.optimiser import freeze, set_mode
from vepe.training.start import build_start
from vepe.training.step import TrainingStep

Norms = dict[str, dict[str, float]]
"""By loss, then by module of the model."""


def gradient_norms(step: TrainingStep, batch: object) -> Norms:
    """Norms of the gradients of one batch; 0 in a module that a loss does not train.

    Args:
        step: gives the losses of a batch by name, and has the `model`.
        batch: the clips.
    """
    modules: dict[str, list[torch.nn.Parameter]] = defaultdict(list)
    for name, parameter in step.model.named_parameters():
        if parameter.requires_grad:
            modules[name.split(".")[0]].append(parameter)
    losses: dict[str, torch.Tensor] = {}
    for name, loss in step(batch).items():
        layer_free = re.sub(r"\d+/", "/", name)
        losses[layer_free] = losses[layer_free] + loss if layer_free in losses else loss
    parameters = [p for group in modules.values() for p in group]
    norms: Norms = {}
    for name, loss in losses.items():
        norms[name] = dict.fromkeys(modules, 0.0)
        if not loss.requires_grad:  # all that it depends on is frozen
            continue
        gradients = iter(
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        )
        for module, group in modules.items():
            own = [g.norm() for g in (next(gradients) for _ in group) if g is not None]
            norms[name][module] = float(torch.stack(own).norm()) if own else 0.0
    return norms


def one_stage(recipe: dict[str, Any], number: int) -> dict[str, Any]:
    """The recipe with one of its stages. Raises VepeError where it has no such stage."""
    stages = recipe.get("stages")
    if not isinstance(stages, list) or not stages:
        return recipe  # reading the recipe says what is wrong
    if not -len(stages) <= number < len(stages):
        raise VepeError(
            f"There is no stage {number}, the recipe has {len(stages)}; give --stage 0 to "
            f"{len(stages) - 1}, or -1 for the last one."
        )
    return {**recipe, "stages": [stages[number]]}


def run(options: argparse.Namespace) -> None:
    if options.batches < 1:
        raise VepeError(f"--batches is {options.batches}; give 1 or more.")
    data = one_stage(override(read_yaml(options.recipe, "recipes"), options.set), options.stage)
    config = parse(TrainConfig, {**data, "precision": "fp32", "workers": 0}, options.recipe)
    torch.manual_seed(config.seed)
    processes, stage = start_processes(config), config.stages[0]
    model_config, model = build_start(config, quiet=True)
    frozen = freeze(model, stage)
    step = TrainingStep(
        model,
        Criterion(torch.tensor(model_config.skeleton.sigmas), config.losses),
        DenoisingSettings(groups=stage.denoising_groups),
        identity=model_config.consistency.enabled,
        frozen_frames=frozen,
        skip_last=stage.skip_last,
    )
    set_mode(model)
    loader = iter(StageLoader(config, stage, 0, 0, model_config.skeleton, processes))
    norms = [gradient_norms(step, next(loader)[0][1]) for _ in range(options.batches)]
    losses = dict.fromkeys(name for batch in norms for name in batch)
    rows = [row for batch in norms for row in batch.values()]
    modules = dict.fromkeys(module for row in rows for module, norm in row.items() if norm)
    print(f"{'loss':22}" + "".join(f"{module:>17}" for module in modules))
    for name in losses:
        cells = (fmean(n.get(name, {}).get(module, 0.0) for n in norms) for module in modules)
        print(f"{name:22}" + "".join(f"{cell:17.2f}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--stage", type=int, default=-1)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    try:
        run(parser.parse_args())
    except VepeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
