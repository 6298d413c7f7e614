"""`vepe data check` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vepe.cli.data import app
from vepe.errors import VepeError, VepeWarning

NEW = Path(__file__).parents[1] / "formats" / "data" / "pt18_000902_mpii_test.json"


def test_exit_codes_and_json(tmp_path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copy(NEW, tree / "000902_mpii_test.json")
    valid = CliRunner().invoke(app, ["check", str(tree), "--no-images"])
    assert valid.exit_code == 0, valid.output
    assert "PoseTrack21" in valid.output
    assert "12 frames (12 labelled, 0 images found), 45 people" in valid.output
    assert "No problems found." in valid.output
    report = tmp_path / "report.json"
    bad = CliRunner().invoke(app, ["check", str(tree), "--json", str(report)])
    assert bad.exit_code == 1
    assert "posetrack.net is offline" in bad.output
    assert json.loads(report.read_text())["findings"][0]["level"] == "problem"
    none = CliRunner().invoke(app, ["check", str(tmp_path / "none")])
    assert isinstance(none.exception, VepeError)


def test_old_option_name_is_accepted_with_a_warning(tmp_path) -> None:
    shutil.copy(NEW, tmp_path / "000902_mpii_test.json")
    with pytest.warns(VepeWarning, match="now called --images"):
        result = CliRunner().invoke(app, ["check", str(tmp_path), "--no-pictures"])
    assert result.exit_code == 0, result.output


def test_the_same_finding_in_many_files_is_one_line(tmp_path) -> None:
    for i in range(4):
        data = json.loads(NEW.read_text())
        data["annotations"][0].pop("bbox_head")
        (tmp_path / f"{i}.json").write_text(json.dumps(data))
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--no-images"])
    assert result.output.count("problem:") == 1
    assert "(and 3 more, also in 3 other files; --json lists all)" in result.output
    assert "4 problems found." in result.output


def test_long_lists_are_cut(tmp_path) -> None:
    data = json.loads(NEW.read_text())
    data["annotations"][0].pop("bbox_head")
    (tmp_path / "0.json").write_text(json.dumps(data))
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--limit", "1"])  # no images, too
    assert result.output.count("problem:") == 1
    assert "more; print all with --limit 0" in result.output


def test_report_never_replaces_a_file_of_the_data(tmp_path) -> None:
    mine = tmp_path / "000902_mpii_test.json"
    shutil.copy(NEW, mine)
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--no-images", "--json", str(mine)])
    assert isinstance(result.exception, VepeError)
    assert "is part of the data" in str(result.exception)
    assert mine.read_bytes() == NEW.read_bytes()
