"""A report owns only the files that it wrote."""

from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.evaluation import PoseTrackMatch
from vepe.evaluation.report import write_report

GOLDEN = Path(__file__).parent / "golden"


def test_report_keeps_the_files_of_a_training_run(tmp_path: Path) -> None:
    match = PoseTrackMatch.load(GOLDEN / "gt18", GOLDEN / "gt18")
    result = match.result()
    (tmp_path / "index.html").write_text("a training run's page")
    (tmp_path / "last.pt").write_bytes(b"weights")
    with pytest.raises(VepeError, match=r"index\.html, last\.pt"):
        write_report(match, result, tmp_path)
    assert (tmp_path / "index.html").read_text() == "a training run's page"
    write_report(match, result, tmp_path, overwrite=True)
    assert (tmp_path / "last.pt").read_bytes() == b"weights"
    with pytest.raises(VepeError, match=r"\(last\.pt\)"):
        write_report(match, result, tmp_path)
