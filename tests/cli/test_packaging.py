"""What the package carries, and that its version stands in one place."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml

import vepe

ROOT = Path(__file__).parents[2]


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    source = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert re.search(r'^__version__ = "(.+)"$', source.read_text(), re.M)[1] == vepe.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vepe.__version__
    released = f"## [{vepe.__version__}] - {citation['date-released']}"
    assert released in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "config/presets/models/vepe-n.yaml",
        "config/presets/recipes/vepe-n.yaml",
        "config/presets/grids/ablation.yaml",
        "synth/assets/avatars.tar",
        "synth/assets/motions.tar.xz",
        "synth/assets/LICENSE.avatars",
        "synth/assets/LICENSE.motions",
        "weights/__init__.py",
    ],
)
def test_package_data(name: str) -> None:
    assert resources.files("vepe").joinpath(name).is_file()


def test_every_weights_file_has_its_card() -> None:
    weights = Path(str(resources.files("vepe.weights")))
    cards = {path.stem for path in weights.glob("*.md")}
    assert {path.stem for path in weights.glob("*.safetensors")} <= cards
