"""The loop of a stage: options that must not change the result, and what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from loop_probe import Probe, farthest
from tiny_recipe import CLIPS, FRAMES, recipe

from vepe.errors import VepeError
from vepe.losses.criterion import Criterion
from vepe.training import setup, stage, step, trainer
from vepe.training.distributed import Processes, start_processes
from vepe.training.trainer import Trainer

ONE: dict[str, Any] = {"stages": [{**CLIPS, "batch": 2, "steps": 1}]}


def unfold(patch: pytest.MonkeyPatch) -> None:
    """Lets a trained backbone run as it is: folded batch norms round in another way."""
    patch.setattr(step, "FoldedBackbone", lambda _: None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    probe = Probe()
    with pytest.MonkeyPatch.context() as patch:
        unfold(patch)
        probe.run(tmp_path_factory.mktemp("plain") / "run", **ONE)
    return probe


def probed(folder: Path, **options: Any) -> Probe:
    probe = Probe()
    probe.run(folder / "run", **{**ONE, **options})
    return probe


def test_gradient_checkpointing_gives_the_same_gradients(tmp_path: Path, plain: Probe) -> None:
    checkpointed = probed(tmp_path, gradient_checkpointing=True)
    assert farthest(checkpointed.gradients[0], plain.gradients[0])[1] < 1e-6


def test_folded_batch_norms_give_the_same_gradients(tmp_path: Path, plain: Probe) -> None:
    folded = probed(tmp_path)
    assert 0 < farthest(folded.gradients[0], plain.gradients[0])[1] < 1e-5


def test_bf16_is_close_and_losses_stay_in_float32(
    tmp_path: Path, plain: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes = set()
    layer = Criterion.layer

    def watched(self: Criterion, output: Any, *rest: Any, **more: Any) -> Any:
        dtypes.update({output.keypoints_px.dtype, output.score_logits.dtype})
        assert not torch.is_autocast_enabled("cpu")
        return layer(self, output, *rest, **more)

    monkeypatch.setattr(Criterion, "layer", watched)
    unfold(monkeypatch)
    half = probed(tmp_path, precision="bf16")
    assert dtypes == {torch.float32}
    loss, expected = (sum(probe.losses[0].values()) for probe in (half, plain))
    assert loss == pytest.approx(expected, rel=0.1)
    assert loss != expected
    assert all(g.isfinite().all() for g in half.gradients[0].values())


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"denoising": 0}, "denoise"),
        ({"dense": 0}, "dense"),
        ({"proposals": 0}, "proposals"),
        ({"layers": 0}, "spatial"),
        ({"contrastive": 0, "cosine": 0}, "identity"),
    ],
)
def test_losses_with_weight_0_are_not_computed(
    tmp_path: Path, plain: Probe, changes: dict[str, Any], gone: str
) -> None:
    parts = set(probed(tmp_path, losses=changes).losses[0])
    assert parts == {name for name in plain.losses[0] if not name.startswith(gone)}
    assert parts < set(plain.losses[0])


def test_non_finite_loss_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detached = stage.detached

    def broken(parts: Any) -> dict[str, float]:
        return {**detached(parts), "spatial0/l1": float("nan")}

    monkeypatch.setattr(stage, "detached", broken)
    run = Trainer(recipe(), tmp_path / "run")
    before = {n: p.clone() for n, p in run.model.named_parameters()}
    with pytest.raises(VepeError, match=r"'spatial0/l1' is not finite at step 0 .*nan_batch\.pt"):
        run.train()
    assert all(torch.equal(p, before[n]) for n, p in run.model.named_parameters())
    saved = torch.load(tmp_path / "run" / "nan_batch.pt", weights_only=True)
    assert saved["images"].shape == (2, 64, 64, 3)
    assert saved["targets"]["keypoints_px"].shape[0] == 2
    assert saved["samples"] == [[3, 0, 0], [3, 0, 1]]
    assert str(saved["parts"]["spatial0/l1"]) == "nan"


def test_non_finite_gradients_stop_the_run(tmp_path: Path) -> None:
    run = Trainer(recipe(stages=[FRAMES]), tmp_path / "run")
    next(run.model.pyramid.parameters()).register_hook(lambda g: g * float("nan"))
    with pytest.raises(VepeError, match="gradients are not finite"):
        run.train()


def test_scaler_of_fp16_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_scaler(config: Any) -> Processes:
        processes = start_processes(config)
        processes.accelerator.scaler = torch.amp.GradScaler(
            "cpu", init_scale=64.0, growth_interval=2
        )
        return processes

    monkeypatch.setattr(trainer, "start_processes", with_scaler)
    monkeypatch.setattr(Trainer, "_report", lambda *_: None)
    config = recipe(stages=[FRAMES])
    Trainer(config, tmp_path / "run").train()
    resumed = Trainer(config, tmp_path / "run", resume=True)
    scaler = resumed.run.processes.accelerator.scaler
    assert scaler is not None
    assert scaler.get_scale() == 128.0
    assert scaler.state_dict()["_growth_tracker"] == 1


def test_missing_compiler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(function: Any) -> Any:
        raise RuntimeError("no C++ compiler\nand a page of reasons")

    monkeypatch.setattr(setup.torch, "compile", fails)
    with pytest.raises(VepeError, match=r"needs a working compiler.*compile=false"):
        Trainer(recipe(compile=True), tmp_path / "run")
