"""Contents of the packages, and a single version number."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml

import vepe

ROOT = Path(__file__).parents[2]


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    source = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert re.search(r'^__version__ = "(.+)"$', source.read_text(), re.M)[1] == vepe.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vepe.__version__
    released = f"## [{vepe.__version__}] - {citation['date-released']}"
    assert released in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("vepe", "py.typed"),
        ("vepe", "config/presets/models/vepe-n.yaml"),
        ("vepe", "config/presets/recipes/vepe-n.yaml"),
        ("vepe", "config/presets/grids/ablation.yaml"),
        ("vepe", "evaluation/report.html"),
        ("vepe", "training/report.html"),
        ("vepe", "viz/page.html"),
        ("vepe", "weights/__init__.py"),
        ("vepe_synth", "py.typed"),
        ("vepe_synth", "assets/avatars.tar"),
        ("vepe_synth", "assets/motions.tar.xz"),
        ("vepe_synth", "assets/LICENSE.avatars"),
        ("vepe_synth", "assets/LICENSE.motions"),
    ],
)
def test_package_data(package: str, name: str) -> None:
    assert resources.files(package).joinpath(name).is_file()


def test_every_weights_file_has_its_card() -> None:
    weights = Path(str(resources.files("vepe.weights")))
    cards = {path.stem for path in weights.glob("*.md")}
    assert {path.stem for path in weights.glob("*.safetensors")} <= cards
