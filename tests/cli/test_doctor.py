"""`vepe doctor`: what it finds, and when it says that tracking cannot run."""

from __future__ import annotations

import sys
from importlib import resources

import pytest

from vepe.cli import app as cli
from vepe.cli import doctor
from vepe.cli.doctor import Finding

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
def test_exit_code_tells_whether_tracking_can_run(state, exit_code, only, capsys) -> None:
    only(Finding("versions", "thing", "found this", state, "do that [now]"))
    assert cli.run(["doctor"]) == exit_code
    out = capsys.readouterr().out
    assert "thing" in out
    assert "do that [now]" in out  # brackets are not taken for colours
    assert ("Tracking cannot run: thing" in out) is (exit_code == 1)


def test_a_package_that_does_not_import_is_broken(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python does for a failing import
    found = by_name(doctor.find_versions())
    assert found["timm"].state == "broken"
    assert found["timm"].advice == "pip install --force-reinstall timm"
    assert found["numpy"].state == "ok"


def test_two_builds_of_opencv_are_warned_of(monkeypatch) -> None:
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


def test_bundled_weights_are_listed_with_their_size(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    assert [finding.state for finding in doctor.find_weights()] == ["broken"]
    (tmp_path / "vepe-n.safetensors").write_bytes(bytes(2_500_000))
    (tmp_path / "README.md").write_text("card")
    (finding,) = doctor.find_weights()
    assert (finding.name, finding.value, finding.state) == ("vepe-n.safetensors", "2.5 MB", "ok")


def test_a_missing_extra_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "_installed", {"pyarrow": "1.0"}.get)
    found = by_name(doctor.find_optional())
    assert (found["pyarrow"].state, found["pyarrow"].value) == ("ok", "1.0")
    assert found["onnxruntime"].state == "optional"
    assert "pip install 'vepe[onnx]'" in found["onnxruntime"].advice
