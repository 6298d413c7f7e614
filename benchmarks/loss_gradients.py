"""Which loss trains which part: norms of each loss's gradient in the parts of the model.

    python benchmarks/loss_gradients.py RECIPE.yaml [--stage -1] [--batches 6] [--set KEY=VALUE]

All losses share the pyramid and the backbone, where AdamW sees only their sum: a loss whose
gradient is ten times as long as the others' is nearly the only one that counts there. Layers are
added up. The gradients are those of single batches, so noise counts as much as what they have in
common.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from statistics import fmean

import torch

from vepe.config.load import override, parse, read_yaml
from vepe.config.training import TrainConfig
from vepe.losses.criterion import Criterion
from vepe.losses.denoising import DenoisingSettings
from vepe.training.distributed import start_processes
from vepe.training.loader import StageLoader
from vepe.training.optimiser import freeze, set_mode
from vepe.training.start import build_start
from vepe.training.step import TrainingStep

Norms = dict[str, dict[str, float]]
"""By loss, then by part of the model."""


def gradient_norms(step: TrainingStep, batch: object) -> Norms:
    """Norms of the gradients of one batch."""
    parts: dict[str, list[torch.nn.Parameter]] = defaultdict(list)
    for name, parameter in step.model.named_parameters():
        if parameter.requires_grad:
            parts[name.split(".")[0]].append(parameter)
    losses: dict[str, torch.Tensor] = {}
    for name, loss in step(batch).items():
        layer_free = re.sub(r"\d+/", "/", name)
        losses[layer_free] = losses[layer_free] + loss if layer_free in losses else loss
    parameters = [p for group in parts.values() for p in group]
    norms: Norms = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        gradients = iter(found)
        norms[name] = {}
        for part, group in parts.items():
            own = [g.norm() for g in (next(gradients) for _ in group) if g is not None]
            norms[name][part] = float(torch.stack(own).norm()) if own else 0.0
    return norms


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--stage", type=int, default=-1)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    data = override(read_yaml(options.recipe, "recipes"), options.set)
    data["stages"] = [data["stages"][options.stage]]
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
    parts = [p for p in norms[0][next(iter(norms[0]))] if any(n[p] for n in norms[0].values())]
    print(f"{'loss':22}" + "".join(f"{part:>17}" for part in parts))
    for name in norms[0]:
        cells = (fmean(n.get(name, {}).get(part, 0.0) for n in norms) for part in parts)
        print(f"{name:22}" + "".join(f"{cell:17.2f}" for cell in cells))


if __name__ == "__main__":
    main()
