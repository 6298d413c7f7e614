"""What is written is read back: every format against the fields it holds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.coco import read_coco
from vepe.formats.coco_writer import write_coco_video
from vepe.formats.detect import read_any
from vepe.formats.mot import read_mot, write_mot
from vepe.formats.openpose import BODY_25, read_openpose, write_openpose
from vepe.formats.posetrack import read_sequence
from vepe.formats.posetrack17 import write_posetrack17
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.table import read_csv, read_parquet, write_csv, write_parquet
from vepe.skeleton import POSETRACK15

K = len(POSETRACK15)
NOT_IN_17 = ("image_id", "width", "height", "box_xywh_px")
Write = Callable[[Path, AnnotatedSequence], Path]
Read = Callable[[Path], AnnotatedSequence]

TRIPS: dict[str, tuple[Write, Read, tuple[str, ...]]] = {
    "posetrack17": (write_posetrack17, read_sequence, NOT_IN_17),
    "posetrack18": (write_posetrack18, read_sequence, ()),
    "posetrack21": (lambda p, s: write_posetrack18(p, s, year=2021), read_sequence, ()),
    "csv": (write_csv, read_csv, ("ignore_regions_px",)),
    "parquet": (write_parquet, read_parquet, ("ignore_regions_px",)),
}


@pytest.mark.parametrize("name", TRIPS)
@pytest.mark.parametrize("scored", [False, True])
def test_round_trip(name, scored, make, same, rng, tmp_path) -> None:
    write, read, without = TRIPS[name]
    before = make(rng, scored=scored)
    after = read(write(tmp_path / f"{before.name}.{name}.json", before))
    same(before, after, without=without, atol=1e-12)


@pytest.mark.parametrize("scored", [False, True])
def test_coco_video_round_trip(scored, make, same, rng, tmp_path) -> None:
    first = make(rng, scored=scored)
    second = replace(make(rng, scored=scored), name="other")
    second = replace(
        second, frames=tuple(replace(f, image_id=f.image_id + 10**7) for f in second.frames)
    )
    path = write_coco_video(tmp_path / "all.json", (first, second))
    videos = read_coco(path)
    assert [v.name for v in videos] == [first.name, "other"]
    for before, after in zip((first, second), videos, strict=True):
        assert after.format == "coco"
        same(before, after, without=("visibility", "skeleton"), atol=1e-12)
    # Back to PoseTrack18, nothing has gone.
    back = read_sequence(write_posetrack18(tmp_path / "back.json", videos[0]))
    same(first, back, atol=1e-12)


def test_coco_ids_are_unique_and_never_zero(make, rng, tmp_path) -> None:
    clash = (make(rng), replace(make(rng), name="other"))
    data = json.loads(write_coco_video(tmp_path / "all.json", clash).read_text())
    for table in ("images", "annotations"):
        ids = [record["id"] for record in data[table]]
        assert len(set(ids)) == len(ids)
        assert min(ids) >= 1
    assert {a["image_id"] for a in data["annotations"]} <= {i["id"] for i in data["images"]}


def test_track_id_is_in_the_attributes_for_cvat(gt, tmp_path) -> None:
    data = json.loads(write_coco_video(tmp_path / "cvat.json", [gt]).read_text())
    person = gt.frames[0].people[0]
    record = data["annotations"][0]
    assert record["attributes"] == {"occluded": False, "track_id": 0, "keyframe": True}
    v = np.reshape(record["keypoints"], (-1, 3))[:, 2]
    np.testing.assert_array_equal(v, np.where(person.present, 1 + person.visibility, 0))
    assert record["num_keypoints"] == person.present.sum()


def test_cvat_export_is_read_with_its_track_ids(tmp_path) -> None:
    path = tmp_path / "person_keypoints_default.json"
    point = [5.0, 6.0, 2]
    path.write_text(json.dumps({
        "categories": [{"id": 1, "name": "person", "keypoints": list(POSETRACK15.keypoints),
                        "skeleton": []}],
        "images": [{"id": 1, "file_name": "frame_000000.PNG", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40],
                         "keypoints": point + [7, 8, 1] + [0, 0, 0] * (K - 2), "iscrowd": 0,
                         "attributes": {"occluded": False, "track_id": 12, "keyframe": True}}],
    }))  # fmt: skip
    (sequence,) = read_any(path)
    assert sequence.format == "coco"
    assert sequence.skeleton is POSETRACK15
    person = sequence.frames[0].people[0]
    assert person.track_id == 12
    assert person.present.tolist() == [True, True] + [False] * (K - 2)
    back = read_sequence(write_posetrack18(tmp_path / "pt18.json", sequence))
    assert back.frames[0].people[0].visibility.tolist()[:2] == [1, 0]


def test_mot_holds_boxes_and_ids(gt, tmp_path) -> None:
    path = write_mot(tmp_path / "boxes.txt", gt)
    first = path.read_text().splitlines()[0].split(",")
    assert first[:2] == ["1", "0"]
    assert len(first) == 10
    after = read_mot(path)
    before = [f for f in gt.frames if f.people]
    assert [f.index for f in after.frames] == [f.index for f in before]
    for fa, fb in zip(after.frames, before, strict=True):
        assert [p.track_id for p in fa.people] == [p.track_id for p in fb.people]
        for pa, pb in zip(fa.people, fb.people, strict=True):
            np.testing.assert_array_equal(pa.box_xywh_px, pb.box_xywh_px)


def test_mot_box_is_the_extent_of_keypoints_without_a_box(make, rng, tmp_path) -> None:
    person = Person(
        keypoints_px=np.array([[10.0, 20.0], [30.0, 25.0]] + [[0.0, 0.0]] * (K - 2)),
        present=np.arange(K) < 2,
        visibility=np.ones(K),
        keypoint_scores=np.full(K, np.nan),
    )
    frame = AnnotatedFrame(4, "a.jpg", None, True, True, (person,))
    sequence = AnnotatedSequence("s", (frame,), POSETRACK15, Path("s.json"), "posetrack17")
    text = write_mot(tmp_path / "s.txt", sequence).read_text()
    assert text == "5,-1,10.0,20.0,20.0,5.0,1,-1,-1,-1\n"


def test_openpose_is_body_25_ordered_by_track_id(results, tmp_path) -> None:
    shuffled = replace(
        results, frames=tuple(replace(f, people=f.people[::-1]) for f in results.frames)
    )
    folder = write_openpose(tmp_path / "openpose", shuffled)
    files = sorted(folder.iterdir())
    assert files[3].name == "000123_mpii_test_000000000003_keypoints.json"
    assert len(files) == len(results)
    after = read_openpose(folder)
    assert after.skeleton is BODY_25
    ours, theirs = POSETRACK15.shared_with(BODY_25)
    for fa, fb in zip(after.frames, results.frames, strict=True):
        assert [p.track_id for p in fa.people] == [p.track_id for p in fb.people]
        for pa, pb in zip(fa.people, fb.people, strict=True):
            present = pb.present[ours]
            np.testing.assert_array_equal(pa.present[theirs], present)
            np.testing.assert_array_equal(
                pa.keypoints_px[theirs][present], pb.keypoints_px[ours][present]
            )
            hips = pb.keypoints_px[[POSETRACK15.index("left_hip"), POSETRACK15.index("right_hip")]]
            if pa.present[BODY_25.index("mid_hip")]:
                middle = pa.keypoints_px[BODY_25.index("mid_hip")]
                np.testing.assert_allclose(middle, hips.mean(axis=0))


numbers = st.floats(-2000, 4000, allow_nan=False).map(lambda v: 0.0 if abs(v) < 1e-6 else v)


@st.composite
def people(draw: st.DrawFn) -> Person:
    present = np.array(draw(st.lists(st.booleans(), min_size=K, max_size=K)))
    xy = np.array(draw(st.lists(numbers, min_size=2 * K, max_size=2 * K))).reshape(K, 2)
    visible = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=K, max_size=K)))
    # x = y = v = 0 is how PoseTrack18 writes 'absent'.
    present &= (xy != 0).any(axis=1) | (visible != 0)
    scores = st.floats(0, 1, allow_nan=False)
    given_scores = draw(st.one_of(st.none(), st.lists(scores, min_size=K, max_size=K)))
    box = draw(
        st.one_of(st.none(), st.tuples(numbers, numbers, st.floats(0.5, 999), st.floats(0.5, 999)))
    )
    head = None if box is None else np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    values = np.full(K, np.nan) if given_scores is None else np.array(given_scores)
    return Person(
        keypoints_px=xy * present[:, None],
        present=present,
        visibility=visible * present,
        keypoint_scores=np.where(present, values, np.nan if given_scores is None else 0.0),
        score=draw(st.one_of(st.none(), scores)),
        track_id=draw(st.one_of(st.none(), st.integers(0, 9999))),
        head_box_xyxy_px=head,
    )


@st.composite
def sequences(draw: st.DrawFn) -> AnnotatedSequence:
    frames = []
    for i in range(draw(st.integers(1, 3))):
        members = tuple(draw(st.lists(people(), max_size=3)))
        corners = draw(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=5))
        frames.append(
            AnnotatedFrame(
                index=i,
                file_name=f"images/val/000777_bonn_test/{i:06d}.jpg",
                image_id=20007770000 + i,
                is_labeled=draw(st.booleans()),
                has_annotations=bool(members),
                people=members,
                ignore_regions_px=(np.array(corners),) if draw(st.booleans()) else (),
            )
        )
    source = Path("000777_bonn_test.json")
    return AnnotatedSequence("000777_bonn_test", tuple(frames), POSETRACK15, source, "posetrack18")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=sequences())
def test_2018_to_2017_and_back_loses_nothing(sequence: AnnotatedSequence, same) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old = read_sequence(write_posetrack17(Path(folder) / "old.json", sequence))
        new = read_sequence(write_posetrack18(Path(folder) / "new.json", old))
    assert old.format == "posetrack17"
    same(sequence, new, atol=1e-9)  # heads may differ in the last bit


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=sequences())
def test_every_table_and_coco_lose_nothing(sequence: AnnotatedSequence, same) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        same(sequence, read_csv(write_csv(folder / "a.csv", sequence)),
             without=("ignore_regions_px", "has_annotations"))  # fmt: skip
        (video,) = read_coco(write_coco_video(folder / "a.json", [sequence]))
        back = read_sequence(write_posetrack18(folder / "b.json", video))
    # Where people have scores, COCO takes -9999 for a keypoint without one, as poseval does.
    same(sequence, back, without=("keypoint_scores", "box_xywh_px"), atol=1e-9)
