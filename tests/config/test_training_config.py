"""Budgets of a run."""

from __future__ import annotations

import pytest

from vepe.config.load import override
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


def test_steps_cannot_be_shortened_to_minutes() -> None:
    with pytest.raises(VepeError, match="s1"):
        run({"minutes": 5}, {"steps": 5}).within(3)


@pytest.mark.parametrize("setting", ["precision=no", "precision=fp32"])
def test_fp32_has_an_earlier_name_that_yaml_reads_as_false(setting: str) -> None:
    data = override(run({"steps": 1}).model_dump(mode="json"), [setting])
    assert TrainConfig.model_validate(data).precision == "fp32"
