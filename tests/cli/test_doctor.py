"""`vepe doctor`: its findings, and when it reports that tracking cannot run."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import resources, util
from pathlib import Path

import pytest

from tiny_models import tiny_weights_file
from vepe.cli import app as cli
from vepe.cli import doctor
from vepe.cli.doctor import Finding

ROOT = Path(__file__).parents[2]
FINDERS = ("find_versions", "find_devices", "find_codecs", "find_weights", "find_optional")


def by_name(findings) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Replaces all findings by one."""

    def install(finding: Finding) -> None:
        for finder in FINDERS:
            monkeypatch.setattr(doctor, finder, lambda: iter(()))
        monkeypatch.setattr(doctor, "find_versions", lambda: iter((finding,)))

    return install


@pytest.mark.parametrize(
    ("state", "exit_code"), [("ok", 0), ("optional", 0), ("warning", 0), ("broken", 1)]
)
def test_exit_code_says_whether_tracking_can_run(state, exit_code, only, capsys) -> None:
    only(Finding("versions", "thing", "some\x1b[2J value", state, "do that [now]"))
    assert cli.run(["doctor"]) == exit_code
    out = capsys.readouterr().out
    assert "thing" in out
    assert "some\\x1b[2J value" in out  # nor do paths act on the terminal
    assert "do that [now]" in out  # brackets are not taken for colours
    assert ("Tracking cannot run: thing" in out) is (exit_code == 1)


def test_a_package_that_does_not_import_is_broken(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # what Python does for a failing import
    findings = by_name(doctor.find_versions())
    assert findings["av"].state == "broken"
    assert findings["av"].advice == "pip install --force-reinstall av"
    assert findings["numpy"].state == "ok"


def test_two_builds_of_opencv_give_a_warning(monkeypatch) -> None:
    both = {"opencv-python": "5.0", "opencv-python-headless": "5.0"}
    monkeypatch.setattr(doctor, "_installed", both.get)
    warning = by_name(doctor.find_versions())["opencv"]
    assert warning.state == "warning"
    assert "pip uninstall -y opencv-python opencv-python-headless" in warning.advice


def test_h264_is_really_written(monkeypatch) -> None:
    assert by_name(doctor.find_codecs())["H.264 writing"].state == "ok"

    def refuse() -> int:
        raise ValueError("no encoder")

    monkeypatch.setattr(doctor, "_encode_sample", refuse)
    finding = by_name(doctor.find_codecs())["H.264 writing"]
    assert (finding.state, finding.value) == ("broken", "no encoder")


def test_bundled_weights_are_opened(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    (missing,) = doctor.find_weights()
    assert (missing.name, missing.state) == ("vepe-n.onnx", "broken")
    whole = tiny_weights_file(tmp_path).rename(tmp_path / "vepe-n.safetensors")
    (tmp_path / "vepe-n.md").write_text("card")
    finding = by_name(doctor.find_weights())["vepe-n.safetensors"]
    size = f"{whole.stat().st_size / 1e6:.1f} MB"
    assert (finding.name, finding.value, finding.state) == ("vepe-n.safetensors", size, "ok")
    data = whole.read_bytes()
    (tmp_path / "vepe-s.safetensors").write_bytes(data[: len(data) // 2])
    findings = by_name(doctor.find_weights())
    assert findings["vepe-n.safetensors"].state == "ok"
    assert findings["vepe-s.safetensors"].state == "warning"  # tracking does not need it
    assert "is cut off or damaged" in findings["vepe-s.safetensors"].value
    whole.write_bytes(data[:-100])
    finding = by_name(doctor.find_weights())["vepe-n.safetensors"]
    assert (finding.state, "cut off" in finding.value) == ("warning", True)
    assert "reinstall VEPE" in finding.advice


def test_a_missing_extra_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "_installed", {"pyarrow": "1.0"}.get)
    findings = by_name(doctor.find_optional())
    assert (findings["pyarrow"].state, findings["pyarrow"].value) == ("ok", "1.0")
    assert findings["matplotlib"].state == "optional"
    assert "pip install '.[report]'" in findings["matplotlib"].advice
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert by_name(doctor.find_optional())["tkinter"].state == "optional"


def test_every_dependency_is_checked_and_every_extra_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert dependencies <= {name for name, _ in doctor._REQUIRED}
    assert dependencies.isdisjoint(name for name, *_ in doctor._OPTIONAL)
    for name, _, how in doctor._OPTIONAL:
        for extra in re.findall(r"vepe\[(\w+)\]", how):
            lines = project["optional-dependencies"][extra]
            assert any(line.startswith(f"{name}>=") for line in lines), name
