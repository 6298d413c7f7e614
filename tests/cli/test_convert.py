"""`vepe convert` as a user runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from usable_formats import usable_targets
from vepe.cli.convert import convert
from vepe.errors import VepeError
from vepe.formats.openpose import write_openpose
from vepe.formats.posetrack import read_sequence

NEW = Path(__file__).parents[1] / "formats" / "data" / "pt18_000902_mpii_test.json"

app = typer.Typer()
app.command()(convert)


def test_prints_what_was_written_and_left_behind(tmp_path) -> None:
    target = tmp_path / "old.json"
    result = CliRunner().invoke(app, [str(NEW), str(target), "--to", "posetrack17"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "note: posetrack17 has no field for body boxes: 45 left behind." in lines
    assert lines[-1] == f"Wrote {target}: 1 sequence, 12 frames, 45 people."
    assert target.is_file()


def test_cvat_is_an_alias_of_coco(tmp_path) -> None:
    result = CliRunner().invoke(app, [str(NEW), str(tmp_path / "c.json"), "--to", "cvat"])
    assert result.exit_code == 0, result.output
    back = ["--to", "posetrack18", "--from", "coco"]
    result = CliRunner().invoke(app, [str(tmp_path / "c.json"), str(tmp_path / "b.json"), *back])
    assert result.exit_code == 0, result.output
    assert "45 people" in result.output


def test_problems_reach_the_entry_point(tmp_path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "no"), str(tmp_path / "x"), "--to", "csv"])
    assert isinstance(result.exception, VepeError)
    with pytest.raises(VepeError, match="--like is for submissions"):
        convert(NEW, tmp_path / "x.csv", "csv", like=NEW)


def call(*words: object) -> str:
    """Output of a run that went well; raises what reaches the entry point."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_existing_files_are_replaced_only_with_overwrite(tmp_path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(VepeError, match="already there; add --overwrite"):
        call(NEW, target, "--to", "csv")
    assert target.read_text() == "mine"
    call(NEW, target, "--to", "csv", "--overwrite")
    assert target.read_text().startswith("frame_index,")


@pytest.mark.parametrize("to", usable_targets())
def test_folders_are_converted_twice_only_with_overwrite(to, tmp_path) -> None:
    call(NEW, tmp_path / "out", "--to", to)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(VepeError, match="already there"):
        call(NEW, tmp_path / "out", "--to", to)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    call(NEW, tmp_path / "out", "--to", to, "--overwrite")


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    ("source", "target", "to"),
    [
        ("a.json", "a.json", "coco"),
        ("a.json", "link.json", "posetrack17"),
        ("a.json", "sub/../a.json", "posetrack21"),
        (".", ".", "posetrack18"),
        ("a.json", ".", "submission"),
        ("op", "op", "openpose"),
        ("op/op", "op", "openpose"),
        ("op", "op/op_000000000000_keypoints.json", "coco"),
    ],
)
def test_source_is_never_replaced(source, target, to, more, tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.json").write_bytes(NEW.read_bytes())
    if source != ".":
        (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    folder = tmp_path / source if source.startswith("op") else tmp_path / "op"
    write_openpose(folder, replace(read_sequence(NEW), name="op"))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    options = ["--from", "posetrack18"] if source == "." else []
    with pytest.raises(VepeError, match=r"would replace .* itself"):
        call(tmp_path / source, tmp_path / target, "--to", to, *options, *more)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_conversions_keep_every_score(tmp_path) -> None:
    """Golden predictions, sent through other formats, score the same to the last digit."""
    from vepe.evaluation import evaluate_posetrack
    from vepe.formats.conversion import convert_annotations

    golden = Path(__file__).parents[1] / "evaluation" / "golden"
    gt_folder, pred = golden / "gt18", golden / "cases" / "c06_mixed" / "pred18"
    expected = evaluate_posetrack(gt_folder, pred).to_dict()
    step = pred
    for i, to in enumerate(("coco", "posetrack17", "csv", "submission")):
        like = gt_folder if to == "submission" else None
        convert_annotations(step, tmp_path / str(i), to, like=like)
        step = tmp_path / str(i)
    convert_annotations(gt_folder, tmp_path / "gt17", "posetrack17")
    for gt in (gt_folder, tmp_path / "gt17"):
        score = evaluate_posetrack(gt, step).to_dict()
        for metric in ("ap", "precision", "recall", "mota", "motp", "hota"):
            assert score[metric] == pytest.approx(expected[metric], abs=1e-9), metric
