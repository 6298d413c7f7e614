"""Configurations: presets, `extends`, overrides, and errors that name the key."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from vepe.config.base import SILENT, Settings
from vepe.config.load import _models, merge, override, parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError, VepeWarning


def test_extends_merges_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("extends: vepe-n\nname: base\ntemporal: {window: 5}\n")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ndim: 64\nskeleton: coco17\n")
    config = parse(ModelConfig, read_yaml(tmp_path / "mine.yaml"), "mine.yaml")
    nano = parse(ModelConfig, read_yaml("vepe-n"), "vepe-n")
    assert (config.name, config.dim, config.temporal.window) == ("base", 64, 5)
    assert config.queries == nano.queries
    assert config.temporal.memory_encoder_levels == nano.temporal.memory_encoder_levels
    assert config.skeleton.name == "coco17"


@pytest.mark.parametrize(
    ("settings", "path", "expected"),
    [
        (["seed=4"], ("seed",), 4),
        (["losses.oks=0"], ("losses", "oks"), 0),
        (["stages.1.minutes=5"], ("stages", 1, "minutes"), 5),
        (["stages.0.freeze=[pyramid]"], ("stages", 0, "freeze", 0), "pyramid"),
        (["model.temporal.window=5"], ("model", "temporal", "window"), 5),
        (["model.temporal.window=5"], ("model", "extends"), "vepe-n"),
    ],
)
def test_overrides(settings: list[str], path: tuple, expected: object) -> None:
    data = override(read_yaml("vepe-n", "recipes"), settings)
    value = data
    for part in path:
        value = value[part]
    assert value == expected
    parse(TrainConfig, data, "vepe-n")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "write key=value"),
        ("losses.oks=[1", "not valid YAML"),
        ("stages.9.minutes=5", "no index into a list of 6"),
        ("stages.first.minutes=5", "no index into a list of 6"),
        ("stages.\u00b2.minutes=5", "no index into a list of 6"),
        ("stages." + "9" * 5000 + ".minutes=5", "no index into a list of 6"),
        ("a" + ".a" * 2000 + "=1", "too many parts"),
        ("seed=" + "9" * 5000, "too many digits"),
        ("seed=!!int x", "does not fit its tag"),
    ],
)
def test_impossible_overrides(setting: str, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        override(read_yaml("vepe-n", "recipes"), [setting])


def test_tracker_smoothing_and_shot_settings_are_set_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "extends: vepe-n\ntracker: {confirm_hits: 2}\nsmoothing: {degree: 1}\n"
        "shots: {surprise: 4.0}\n"
    )
    config = parse(ModelConfig, read_yaml(tmp_path / "mine.yaml"), "mine.yaml")
    assert (config.tracker.confirm_hits, config.tracker.reid_margin) == (2, 0.3)
    assert (config.smoothing.degree, config.shots.surprise) == (1, 4.0)
    with pytest.raises(VepeError, match=r"no option 'tracker\.confirm'"):
        parse(ModelConfig, {"tracker": {"confirm": 2}}, "mine.yaml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"fine": 8}, "'fine' is now called 'high_resolution_dim'"),
        ({"temporal": {"spacing_s": 0.1}}, "'spacing_s' is now called 'memory_interval_s'"),
        ({"tracker": {"birth_score": 0.5}}, "'birth_score' is now called 'new_track_threshold'"),
        ({"tracker": {"size_ratio": 3}}, "'size_ratio' has no effect any more"),
    ],
)
def test_renamed_options_are_accepted_with_a_warning(data: dict, message: str) -> None:
    with pytest.warns(VepeWarning, match=message):
        parse(ModelConfig, data, "mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse(ModelConfig, data, "mine", SILENT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimm": 3}, "no option 'dimm'; did you mean 'dim'"),
        ({"temporal": {"windo": 3}}, "no option 'temporal.windo'; did you mean 'window'"),
        ({"dim": 100, "heads": 8}, "multiple of heads"),
        ({"strides": [8, 24]}, "twice the one before"),
        ({"skeleton": "dog"}, "no skeleton 'dog'"),
        ({"spatial_encoder": {"levels": [5]}}, "levels must be among"),
        ({"temporal": 3}, "temporal: give keys and values here"),
        ({"queries": 0}, "queries: give at least 1"),
        ({"dim": 10**9}, "dim: give at most 4096"),
        ({"heads": 10**400}, "heads: give at most 256"),
        ({"dim": "1" * 5000}, "dim: this number has too many digits"),
        ({"skeleton": "\ud83d"}, "is not valid Unicode; correct it"),
        ({"name": "\ud83d"}, "is not valid Unicode; correct it"),
        ({"temporal": {"\ud83d": 1}}, "is not valid Unicode; correct it"),
        ({"strides": []}, "strides: give at least 1"),
        ({"strides": [0, 0]}, "strides start at 2"),
        ({"dim": 4096, "hidden": 32768}, "about 2.*weights"),
    ],
)
def test_wrong_model_options_are_named(changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        parse(ModelConfig, merge(read_yaml("vepe-n"), changes), "mine")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages.0.minuts=3", "no option 'stages.0.minuts'; did you mean 'minutes'"),
        ("stages.0.data.0.shrads=[a]", "no option 'stages.0.data.0.shrads'; did you mean 'shards'"),
        ("losses=3", "losses: give keys and values here"),
        ("stages.0.data.0.kind=film", "stages.0.data.0"),
        ("seed=-1", "seed: give at least 0"),
        ("seed=4294967296", "seed: give less than 4294967296"),
        ("stages.0.size_px=1000000", "stages.0.size_px: give at most 8192"),
        ("stages.0.minutes=.inf", "stages.0.minutes"),
    ],
)
def test_wrong_recipe_options_are_named(setting: str, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        parse(TrainConfig, override(read_yaml("vepe-n", "recipes"), [setting]), "vepe-n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"extends: mine.yaml\n", "extends itself"),
        (b"\xff\xfe\x00broken", "not valid YAML"),
        (b"[1, 2", "not valid YAML"),
        (b"- a\n- b\n", "keys and values"),
        (b"extends: vepe-x\n", "no preset 'vepe-x'; did you mean"),
        (b"extends: 3\n", "no preset '3'"),
        (b"extends: ./mine.yaml\n", "extends itself"),
        (b"extends: ../{folder}/mine.yaml\n", "extends itself"),
        (b"extends: link.yaml\n", "extends itself"),
        (b"dim: 2020-13-45\n---\n", "not valid YAML"),
        (b"dim: !!int x\n", "does not fit its tag"),
        (b"a: " + b"[" * 3000, "nested too deeply"),
    ],
)
def test_broken_files_have_a_message(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content.replace(b"{folder}", tmp_path.name.encode()))
    (tmp_path / "link.yaml").symlink_to(path)
    with pytest.raises(VepeError, match=message):
        read_yaml(path)


def test_long_chains_of_extends_have_a_message(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_text(f"extends: {i + 1}.yaml\n")
    with pytest.raises(VepeError, match="more than 20 files that extend each other"):
        read_yaml(tmp_path / "0.yaml")


def test_impossible_file_names_have_a_message() -> None:
    for name in ("a" * 5000 + ".yaml", "a\0.yaml"):
        with pytest.raises(VepeError, match="configuration file"):
            read_yaml(name)


def test_missing_files_and_presets_have_a_message() -> None:
    with pytest.raises(VepeError, match="no configuration file"):
        read_yaml("nowhere.yaml")
    with pytest.raises(VepeError, match="no preset 'vepe_n'; did you mean 'vepe-n'"):
        read_yaml("vepe_n")
    models = ["dinov2-s", "hrnet-w48", "n", "r50", "s", "swin-l"]
    assert preset_names() == [f"vepe-{name}" for name in models]


def test_every_count_and_size_has_an_upper_bound() -> None:
    def unbounded(model: type[Settings]) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            for inner in _models(field.annotation):
                names += unbounded(inner)
            is_int = field.annotation in (int, int | None)
            if is_int and not any(hasattr(m, "le") or hasattr(m, "lt") for m in field.metadata):
                names.append(f"{model.__name__}.{name}")
        return names

    assert unbounded(ModelConfig) + unbounded(TrainConfig) == []
