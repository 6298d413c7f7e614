"""Which pictures and times a model is scored on."""

from __future__ import annotations

from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.evaluation.run_model import frame_times_s, picture_paths
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence
from vepe.skeleton import POSETRACK15


def sequence(frames: list[tuple[int, float | None]]) -> AnnotatedSequence:
    made = [
        AnnotatedFrame(i, f"{i}.jpg", None, True, False, people=(), time_s=t) for i, t in frames
    ]
    return AnnotatedSequence("s", tuple(made), POSETRACK15, Path("s.json"), "posetrack18")


@pytest.mark.parametrize(
    ("frames", "times_s"),
    [
        ([(0, 0.0), (1, 0.5), (2, 0.6)], [0.0, 0.5, 0.6]),
        ([(0, None), (4, None), (5, None)], [0.0, 0.16, 0.2]),
        ([(0, 0.0), (4, None)], [0.0, 0.16]),
        ([(0, 0.0), (4, 0.0)], [0.0, 0.16]),
        ([(3, None), (3, None)], [0.0, 0.04]),
        ([], []),
    ],
)
def test_times_are_the_files_own_where_it_has_them(frames, times_s) -> None:
    assert frame_times_s(sequence(frames)) == pytest.approx(times_s)


def test_a_picture_is_never_taken_for_another(tmp_path: Path) -> None:
    """Every PoseTrack video has a 000000.jpg."""
    (tmp_path / "000000.jpg").write_bytes(b"")
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        picture_paths(tmp_path, ["a/000000.jpg"])
    assert picture_paths(tmp_path, ["a/000000.jpg"], flat=True) == [tmp_path / "000000.jpg"]
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        picture_paths(tmp_path, ["a/000000.jpg", "b/000000.jpg"], flat=True)
    assert picture_paths(tmp_path, [], flat=True) == []
