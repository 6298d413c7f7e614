"""Commands in the docs: each names options, recipes and keys that are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from vepe.cli.app import app
from vepe.config.grid import plan_grid
from vepe.config.load import override, parse, preset_names, read_yaml
from vepe.config.training import TrainConfig

ROOT = Path(__file__).parents[2]
PLACEHOLDERS = {"RECIPE": "vepe-n", "DATA/skeleton.yaml": "coco17", "DATA/excavator.yaml": "coco17"}


def commands() -> list[str]:
    """All lines that call vepe, in the order of the pages."""
    found = []
    for page in ("README", "docs/tracking", "docs/training", "docs/finetune", "docs/reproduce"):
        text = (ROOT / f"{page}.md").read_text("utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            lines = [line.partition(" #")[0].strip() for line in block.splitlines()]
            found += [f"{page}: {x}" for x in lines if re.match(r"(vepe|torchrun.*-m vepe) ", x)]
    return found


def arguments(command: str) -> list[str]:
    words = shlex.split(command.partition(": ")[2])
    words = words[words.index("vepe") + 1 :]
    for placeholder, value in PLACEHOLDERS.items():
        words = [word.replace(placeholder, value) for word in words]
    return words


@pytest.mark.parametrize("command", commands())
def test_options_are_there(command: str) -> None:
    words = [w for w in arguments(command) if w != "..."]
    group = typer.main.get_command(app)
    context = group.make_context("vepe", list(words), resilient_parsing=True)
    name, sub, rest = group.resolve_command(context, list(words))  # type: ignore[attr-defined]
    if hasattr(sub, "resolve_command"):
        inner = sub.make_context(name, list(rest), parent=context, resilient_parsing=True)
        name, sub, rest = sub.resolve_command(inner, list(rest))
    sub.make_context(name, list(rest), parent=context)  # raises where an option is unknown


@pytest.mark.parametrize(
    "command", [c for c in commands() if " train " in c and " train report " not in c]
)
def test_recipes_and_keys_are_there(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = arguments(command)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    recipe = None if words[1].startswith("-") else words[1]
    if "--grid" in words:
        assert len(plan_grid(words[words.index("--grid") + 1], base=recipe, settings=settings)) > 1
        return
    assert recipe is not None
    parse(TrainConfig, override(read_yaml(recipe, "recipes"), settings), recipe)


def test_every_recipe_is_named_in_the_docs() -> None:
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    for name in preset_names("recipes"):
        backbone = re.match(r"vepe-(.+)-(coco|posetrack)", name)
        assert (backbone[1] if backbone else name) in text
