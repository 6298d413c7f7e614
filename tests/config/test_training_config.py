"""Budgets of a run."""

from __future__ import annotations

import pytest

from vepe.config.load import override, parse, read_yaml
from vepe.config.training import TrainConfig
from vepe.errors import VepeError

SOURCE = {"kind": "coco"}


def run(*stages: dict) -> TrainConfig:
    named = [{"name": f"s{i}", "data": [SOURCE], **stage} for i, stage in enumerate(stages)]
    return TrainConfig.model_validate({"stages": named})


@pytest.mark.parametrize(
    ("planned", "minutes", "wanted"),
    [([60, 20], 40, [30, 10]), ([10], 25, [25]), ([5, 5, 10], 20, [5, 5, 10])],
)
def test_a_budget_is_shared_out(planned: list, minutes: float, wanted: list) -> None:
    whole = run(*({"minutes": m} for m in planned))
    assert [s.minutes for s in whole.within(minutes).stages] == pytest.approx(wanted)
    assert [s.minutes for s in whole.stages] == planned


def test_stages_in_steps_get_a_limit_and_keep_their_steps() -> None:
    short = run({"steps": 300}, {"steps": 100}).within(4)
    assert [(s.steps, s.minutes) for s in short.stages] == [(300, 3), (100, 1)]
    assert short.calibration_batches == 30


def test_minutes_and_steps_alone_cannot_be_divided() -> None:
    with pytest.raises(VepeError, match="Stage 's1' has steps and no minutes"):
        run({"minutes": 5}, {"steps": 5}).within(3)


@pytest.mark.parametrize(("minutes", "batches"), [(0.5, 2), (50, 15), (1000, 30)])
def test_the_calibration_shrinks_along(minutes: float, batches: int) -> None:
    assert run({"minutes": 60}, {"minutes": 40}).within(minutes).calibration_batches == batches


@pytest.mark.parametrize(
    ("clips", "batch", "processes", "accumulate"),
    [(16, 2, 1, 8), (16, 2, 8, 1), (16, 4, 2, 2), (None, 4, 8, 1)],
)
def test_accumulation_follows_from_the_processes(clips, batch, processes, accumulate) -> None:
    config = run({"steps": 1, "batch": batch}).model_copy(update={"clips_per_step": clips})
    assert config.accumulation(config.stages[0], processes) == accumulate


@pytest.mark.parametrize(
    ("batch", "processes", "says"),
    [
        (2, 16, "set stages.0.batch=1"),
        (3, 1, "set stages.0.batch=2"),
        (2, 3, "in 3 processes cannot make up; set another clips_per_step"),
    ],
)
def test_clips_that_do_not_divide(batch: int, processes: int, says: str) -> None:
    config = run({"steps": 1, "batch": batch}).model_copy(update={"clips_per_step": 16})
    with pytest.raises(VepeError, match=says):
        config.accumulation(config.stages[0], processes)


def test_clips_per_step_and_accumulate_exclude_each_other() -> None:
    data = {**run({"steps": 1}).model_dump(mode="json"), "clips_per_step": 16}
    assert parse(TrainConfig, data, "recipe.yaml").clips_per_step == 16  # as a run saves it
    with pytest.raises(VepeError, match="leave accumulate out, or set clips_per_step=null"):
        parse(TrainConfig, {**data, "accumulate": 8}, "recipe.yaml")


def test_the_recipe_before_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = parse(TrainConfig, read_yaml("vepe-r50-posetrack", "recipes"), "recipe")
    first = "vepe train vepe-r50-coco --data-root data -o runs/vepe-r50-coco"
    with pytest.raises(VepeError, match=first):
        config.check_start()
    (tmp_path / "runs" / "vepe-r50-coco").mkdir(parents=True)
    (tmp_path / "runs" / "vepe-r50-coco" / "weights.safetensors").touch()
    config.check_start()


@pytest.mark.parametrize("setting", ["precision=no", "precision=fp32"])
def test_fp32_has_an_earlier_name_that_yaml_reads_as_false(setting: str) -> None:
    data = override(run({"steps": 1}).model_dump(mode="json"), [setting])
    assert TrainConfig.model_validate(data).precision == "fp32"
