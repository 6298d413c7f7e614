"""`benchmarks/loss_gradients.py`: norms of the gradients of each loss, and its errors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loss_gradients.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loss_gradients", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Step(nn.Module):
    """Losses whose gradients are factors: of layers that partly cancel, of the head, of nothing."""

    def __init__(self, frozen: tuple[str, ...]) -> None:
        super().__init__()
        self.model = nn.ModuleDict({name: nn.Linear(1, 1, bias=False) for name in ("neck", "head")})
        for name in frozen:
            self.model[name].requires_grad_(False)

    def forward(self, _: object) -> dict[str, Tensor]:
        neck, head = (self.model[name].weight.sum() for name in ("neck", "head"))
        parts = {"layer0/score": 5 * neck, "layer1/score": 4 * head - 2 * neck}
        return {**parts, "l1": 2 * head, "refined": torch.tensor(1.0)}


@pytest.mark.parametrize(
    ("frozen", "norms"),
    [
        (
            (),
            {
                "layer/score": {"neck": 3.0, "head": 4.0},  # 5 - 2: summed before the norm
                "l1": {"neck": 0.0, "head": 2.0},
                "refined": {"neck": 0.0, "head": 0.0},
            },
        ),
        (("head",), {"layer/score": {"neck": 3.0}, "l1": {"neck": 0.0}, "refined": {"neck": 0.0}}),
        (("neck", "head"), {"layer/score": {}, "l1": {}, "refined": {}}),
    ],
)
def test_norms(script: ModuleType, frozen: tuple[str, ...], norms: dict) -> None:
    assert script.gradient_norms(Step(frozen), None) == norms


@pytest.mark.parametrize("number", [0, 1, -1, -2])
def test_stage(script: ModuleType, number: int) -> None:
    recipe = {"stages": ["a", "b"], "seed": 3}
    assert script.one_stage(recipe, number) == {"stages": [["a", "b"][number]], "seed": 3}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "2"], "There is no stage 2, the recipe has 2; give --stage 0 to 1, or -1"),
        (["--stage", "-3"], "There is no stage -3, the recipe has 2"),
        (["--batches", "0"], "--batches is 0; give 1 or more."),
        (["--set", "stages=[]"], "stages"),
    ],
)
def test_wrong_options_are_one_sentence(
    script: ModuleType,
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("stages: [{name: a}, {name: b}]")
    monkeypatch.setattr(sys, "argv", ["x", str(recipe), *arguments])
    with pytest.raises(SystemExit) as ended:
        script.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in error
    assert error.count("\n") == 1
