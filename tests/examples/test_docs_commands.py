"""Recipes and keys that the pages name exist, in commands that are not run as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_blocks import PAGES, blocks, vepe_calls

from vepe.config.grid import plan_grid
from vepe.config.load import override, parse, preset_names, read_yaml
from vepe.config.training import TrainConfig

ROOT = Path(__file__).parents[2]
PLACEHOLDERS = {"RECIPE": "vepe-n", "DATA/skeleton.yaml": "coco17", "DATA/excavator.yaml": "coco17"}


def training() -> list[str]:
    """The arguments of every `vepe train` in a shell block."""
    found = []
    for block in (block for page in PAGES for block in blocks(page)):
        if block.language in ("sh", "console"):
            for command in block.commands():
                found += ["\0".join(words) for words in vepe_calls(command) if words[0] == "train"]
    return sorted({text for text in found if not text.startswith("train\0report")})


@pytest.mark.parametrize("command", training(), ids=lambda text: text.replace("\0", " "))
def test_recipes_and_keys_are_there(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for placeholder, value in PLACEHOLDERS.items():
        command = command.replace(placeholder, value)
    words = command.split("\0")
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
