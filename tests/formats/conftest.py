"""Sequences for the tests of formats: a random one with everything a format may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, FormatName, Person
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses, PoseTracks, VideoInfo

K = len(POSETRACK15)


def make_person(rng: np.random.Generator, track_id: int, scored: bool) -> Person:
    present = rng.random(K) < 0.8
    xy = np.round(rng.uniform(1, 400, (K, 2)), 3) * present[:, None]
    corner = np.round(rng.uniform(0, 300, 2), 1)
    return Person(
        keypoints_px=xy,
        present=present,
        visibility=(rng.random(K) < 0.8) * present * 1.0,
        keypoint_scores=np.round(rng.random(K), 6) * present if scored else np.full(K, np.nan),
        score=float(np.round(rng.random(), 6)) if scored else None,
        track_id=track_id,
        head_box_xyxy_px=None
        if scored
        else np.concatenate([corner, corner + np.array([23.4, 30.6])]),
        box_xywh_px=np.array([*corner, 84.2, 180.0]),
    )


def make_sequence(
    rng: np.random.Generator, *, scored: bool = False, kind: FormatName = "posetrack18"
) -> AnnotatedSequence:
    frames = []
    for i in range(5):
        people = tuple(make_person(rng, t, scored) for t in range(0 if i == 2 else i + 1))
        name = f"images/val/000123_mpii_test/{i:06d}.jpg"
        region = np.array([[0.0, 0.0], [40.5, 0.0], [40.0, 50.25]])
        frames.append(
            AnnotatedFrame(
                index=i,
                file_name=name,
                image_id=10001230000 + i,
                is_labeled=i != 2,
                has_annotations=bool(people),
                people=people,
                ignore_regions_px=(region, region + 7)[: i % 3] if not scored else (),
                width=640,
                height=480,
            )
        )
    source = Path("000123_mpii_test.json")
    return AnnotatedSequence("000123_mpii_test", tuple(frames), POSETRACK15, source, kind)


@pytest.fixture
def gt(rng: np.random.Generator) -> AnnotatedSequence:
    return make_sequence(rng)


@pytest.fixture
def results(rng: np.random.Generator) -> AnnotatedSequence:
    return make_sequence(rng, scored=True)


@pytest.fixture
def tracks(rng: np.random.Generator) -> PoseTracks:
    def poses(index: int, people: int) -> FramePoses:
        return FramePoses(
            frame_index=index,
            time_s=index / 30,
            keypoints_px=rng.uniform(-5, 600, (people, K, 2)).astype(np.float32),
            keypoint_scores=rng.random((people, K)).astype(np.float32),
            scores=rng.random(people).astype(np.float32),
            track_ids=np.arange(people)[::-1].copy(),
        )

    frames = tuple(poses(2 * i, n) for i, n in enumerate((2, 0, 3)))
    return PoseTracks(VideoInfo("walk.mp4", 640, 480, 30.0), POSETRACK15, frames)


def assert_same(
    a: AnnotatedSequence, b: AnnotatedSequence, *, without: tuple[str, ...] = (), atol: float = 0.0
) -> None:
    """Two sequences say the same, but for the named fields of people and frames."""
    assert a.skeleton == b.skeleton
    assert len(a) == len(b)
    for fa, fb in zip(a.frames, b.frames, strict=True):
        names = ("index", "file_name", "image_id", "is_labeled", "has_annotations",
                 "width", "height", "time_s")  # fmt: skip
        for name in set(names) - set(without):
            assert getattr(fa, name) == getattr(fb, name), name
        if "ignore_regions_px" not in without:
            assert len(fa.ignore_regions_px) == len(fb.ignore_regions_px)
            for ra, rb in zip(fa.ignore_regions_px, fb.ignore_regions_px, strict=True):
                np.testing.assert_array_equal(ra, rb)
        assert len(fa.people) == len(fb.people)
        for pa, pb in zip(fa.people, fb.people, strict=True):
            assert_same_person(pa, pb, without, atol)


def assert_same_person(a: Person, b: Person, without: tuple[str, ...], atol: float) -> None:
    arrays = ("keypoints_px", "present", "visibility", "keypoint_scores", "head_box_xyxy_px",
              "box_xywh_px")  # fmt: skip
    for name in set(arrays) - set(without):
        va, vb = getattr(a, name), getattr(b, name)
        assert (va is None) == (vb is None), name
        if va is not None:
            if name == "keypoint_scores":  # PoseTrack17 lists no scores of absent keypoints
                va, vb = va[a.present], vb[b.present]
            np.testing.assert_allclose(va, vb, rtol=0, atol=atol, err_msg=name)
    for name in {"score", "track_id", "has_points"} - set(without):
        assert getattr(a, name) == getattr(b, name), name


@pytest.fixture
def same() -> Callable[..., None]:
    return assert_same


@pytest.fixture
def make() -> Callable[..., AnnotatedSequence]:
    return make_sequence
