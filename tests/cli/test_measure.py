"""`vepe measure`: files by ending, one line per person, errors before anything is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from vepe.cli import app as cli
from vepe.formats.tracks import write_tracks
from vepe.skeleton import COCO17
from vepe.types import NO_TRACK, FramePoses, PoseTracks, VideoInfo

SHARES = {
    **{"nose": 0.93, "ear": 0.93, "eye": 0.94, "shoulder": 0.818, "elbow": 0.632, "wrist": 0.486},
    **{"hip": 0.53, "knee": 0.285, "ankle": 0.039},
}


def squats(num_frames: int = 80) -> PoseTracks:
    """Person 1 squats four times and faces right; person 2 stands; a third has no id."""
    frames = []
    for i in range(num_frames):
        bend = np.radians(45 * (1 - np.cos(2 * np.pi * i / 20)))
        people = np.stack([figure(100.0, bend), figure(300.0, 0.0), figure(500.0, 0.0)])
        ids = np.array([1, 2, NO_TRACK])
        frames.append(FramePoses(i, i / 20, people, np.full((3, 17), 0.9), np.ones(3), ids))
    return PoseTracks(VideoInfo("gym.mp4", 640, 480, 20.0), COCO17, tuple(frames))


def figure(x: float, knee: float) -> np.ndarray:
    """(17, 2): 400 px tall; the thigh is turned forwards by the knee's flexion, all else stays."""
    points = np.zeros((17, 2))
    for k, name in enumerate(COCO17.keypoints):
        part = name.split("_")[-1]
        points[k] = x + (20 if part == "nose" else 0), 450 - 400 * SHARES[part]
        if part not in ("knee", "ankle"):  # the body sits back and sinks
            points[k] += 98 * np.array([-np.sin(knee), 1 - np.cos(knee)])
    return points


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for name in ("posetrack", "mot"):
        write_tracks(name, folder / "gym", squats())
    return folder


def measure(*words: object) -> int:
    return cli.run(["measure", *(str(word) for word in words)])


def test_printed_summary(place: Path, capsys) -> None:
    assert measure(place / "gym.json") == 0
    first, second = capsys.readouterr().out.strip().split("\n")
    assert first.startswith("id 1: 80 frames from 0.00 to 3.95 s, 400 px tall")
    assert "knee flexion 2 to 88 | 2 to 88 deg" in first
    assert second.startswith("id 2:")


def test_tables(place: Path, tmp_path: Path) -> None:
    names = ["a.csv", "a.json", "a.parquet"]
    words = [word for name in names for word in ("-o", tmp_path / name)]
    assert measure(place / "gym.json", "--height", "1.80,2=1.60", *words) == 0
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 160
    assert float(rows[10]["left_knee_flexion_deg"]) == pytest.approx(90, abs=0.1)
    assert float(rows[0]["left_thigh_m"]) == pytest.approx(0.245 * 1.8, abs=1e-3)
    assert float(rows[80]["left_thigh_m"]) == pytest.approx(0.245 * 1.6, abs=1e-3)
    document = json.loads((tmp_path / "a.json").read_text())
    person = document["people"][0]
    assert person["left_knee_flexion_repetitions"] == 4
    assert person["metres_per_px"] == pytest.approx(1.8 / 400, rel=1e-3)
    assert document["columns"]["facing"][5] == 1.0


def test_opensim(place: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path / "g.trc", "-o", tmp_path / "g.mot", "--height", "1.8"]
    assert measure(place / "gym.json", *words) == 0
    written = ["g_1.mot", "g_1.trc", "g_2.mot", "g_2.trc"]
    assert sorted(p.name for p in tmp_path.iterdir()) == written
    table = np.genfromtxt(tmp_path / "g_1.mot", skip_header=10, names=True)
    assert len(table) == 80
    assert table["knee_angle_r"].max() == pytest.approx(90, abs=0.2)
    places = np.genfromtxt(tmp_path / "g_2.trc", skip_header=6, delimiter="\t")
    nose_y = places[:, 3]
    assert nose_y == pytest.approx((0.93 - 0.039) * 1.8, abs=0.01)
    assert measure(place / "gym.json", "-o", tmp_path / "only.mot", "--ids", "1") == 0
    assert (tmp_path / "only.mot").exists()


def test_plots(place: Path, tmp_path: Path) -> None:
    html, png = tmp_path / "g.html", tmp_path / "g.png"
    assert measure(place / "gym.json", "--plot", html, "--plot", png) == 0
    page = html.read_text()
    assert page.count("<svg") >= 10
    assert "Person 1" in page
    assert "http" not in page
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gym.json", "-o", "x.xlsx"], "ending of 'x.xlsx' is unknown; known are .csv"),
        (["gym.json", "-o", "x.png"], "is written with --plot"),
        (["gym.json", "--plot", "x.csv"], "is written with -o"),
        (["gym.json", "-o", "x.csv", "-o", "x.trc"], "--height 1.75"),
        (["gym.json", "--height", "tall"], "'tall' is neither"),
        (["gym.json", "--height", "180"], "0.3 to 3 metres"),
        (["gym.json", "--height", "9=1.8"], "no track 9"),
        (["gym.json", "--ids", "9"], "no track 9"),
        (["gym.json", "--ids", "x"], "'x' is none"),
        (["gym.json", "--keypoint-conf", "2"], "give 0 to 1"),
        (["gym.mot.txt"], "no keypoints"),
        (["gym.json", "-o", "gym.json", "--overwrite"], "replace"),
        (["nowhere.json"], "does not exist"),
    ],
)
def test_errors_are_one_sentence(
    place: Path, words: list[str], message: str, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(place)
    assert measure(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(p.name for p in place.iterdir()) == ["gym.json", "gym.mot.txt"]
