"""`VideoResult` and `vepe.read`: slices, people, tables, files and smoothing."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vepe
from usable_formats import readable_results
from vepe.config.tracking import SmoothingSettings
from vepe.errors import VepeError
from vepe.formats.tracks import WRITERS
from vepe.results.frame import FrameResult
from vepe.results.video import VideoResult, read
from vepe.skeleton import COCO17
from vepe.tracking.smoothing_offline import smooth_offline
from vepe.types import FramePoses, PoseTracks, VideoInfo
from vepe.video.reader import open_video

HOLDS_POSES = sorted(readable_results())


def assert_same_poses(a: FramePoses, b: FramePoses, *, atol: float = 1e-3) -> None:
    assert a.frame_index == b.frame_index
    assert a.time_s == pytest.approx(b.time_s, abs=1e-6)
    np.testing.assert_array_equal(a.track_ids, b.track_ids)
    np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=atol)
    np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, atol=atol)


def test_frames_carry_their_images(result: VideoResult, images) -> None:
    assert len(result) == 12
    for frame, image in zip(result, images, strict=True):
        assert isinstance(frame, FrameResult)
        np.testing.assert_array_equal(frame.image, image)
    np.testing.assert_array_equal(result[-1].image, images[-1])
    np.testing.assert_array_equal(result[3:][1].image, images[4])
    unknown = VideoResult.of(result)
    with pytest.raises(VepeError, match="have no image"):
        _ = unknown[0].image


def test_slices_and_spans(result: VideoResult) -> None:
    assert [f.frame_index for f in result[2:5]] == [2, 3, 4]
    part = result.between(0.16, 0.28)
    assert isinstance(part, VideoResult)
    assert [f.frame_index for f in part] == [4, 5, 6]
    assert (part.track_ids(), result[:4].track_ids()) == ([1, 2], [1])
    assert len(result.between(5.0)) == 0
    assert repr(result.between(5.0)) == "VideoResult('clip.mp4': 0 frames, 0 tracks, 15 keypoints)"
    assert repr(result) == (
        "VideoResult('clip.mp4': 12 frames from 0.00 s to 0.44 s, 2 tracks, 15 keypoints)"
    )


def test_people(result: VideoResult) -> None:
    person = result.person(2)
    assert len(person) == 4
    assert person.frame_indices.tolist() == [4, 5, 6, 7]
    np.testing.assert_allclose(person.times_s, np.arange(4, 8) / 25)
    np.testing.assert_array_equal(person.keypoints_px[1], result.frames[5].keypoints_px[1])
    np.testing.assert_array_equal(
        person.keypoint("left_knee"), person.keypoints_px[:, result.skeleton.index("left_knee")]
    )
    assert repr(person) == "PersonTrack(id 2: 4 frames from 0.16 s to 0.28 s)"
    only = result.select([2])
    assert [len(f) for f in only] == [0] * 4 + [1] * 4 + [0] * 4
    for wrong in (lambda: result.person(9), lambda: result.select([1, 9])):
        with pytest.raises(VepeError, match=r"There is no track 9 in 'clip.mp4'; its ids are 1, 2"):
            wrong()


def test_to_pandas_and_to_dict(result: VideoResult) -> None:
    pytest.importorskip("pandas")
    table = result.to_pandas()
    assert len(table) == 16 * 15
    assert table.groupby("track_id").frame.nunique().to_dict() == {1: 12, 2: 4}
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["video"] == {"name": "clip.mp4", "width": 96, "height": 64, "fps": 25.0}
    assert len(record["frames"]) == 12
    html = result._repr_html_()
    assert html.count("<tr>") == 3
    assert "<td>2</td><td>0.16</td><td>0.28</td><td>4</td>" in html


@pytest.mark.parametrize("name", HOLDS_POSES)
def test_what_is_saved_can_be_read(name: str, result: VideoResult, tmp_path: Path) -> None:
    coco17 = replace(  # OpenPose's BODY_25 has no head_top
        result,
        skeleton=COCO17,
        frames=tuple(
            replace(
                f,
                keypoints_px=np.tile(f.keypoints_px[:, :1], (1, 17, 1)),
                keypoint_scores=np.tile(f.keypoint_scores[:, :1], (1, 17)),
            )
            for f in result.frames
        ),
    )
    result = coco17 if name == "openpose" else result
    path = result.save(tmp_path / f"poses{WRITERS[name][0]}")
    pred = vepe.read(path)
    assert isinstance(pred, VideoResult)
    assert len(pred) == len(result)
    for a, b in zip(pred.frames, result.frames, strict=True):
        if name == "openpose":
            assert sorted(a.track_ids.tolist()) == sorted(b.track_ids.tolist())
            nose = (pred.skeleton.index("nose"), result.skeleton.index("nose"))
            left, right = (f.keypoints_px[f.track_ids == 1][0] for f in (a, b))
            np.testing.assert_allclose(left[nose[0]], right[nose[1]], atol=1e-3)
        else:
            assert pred.skeleton == result.skeleton
            assert_same_poses(a, b)
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
    with pytest.raises(VepeError, match="is already there; pass overwrite=True"):
        result.save(path)
    assert result.save(path, overwrite=True) == path


def test_boxes_are_no_poses(result: VideoResult, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="holds boxes, but no keypoints"):
        read(result.save(tmp_path / "a.mot.txt"))


@pytest.mark.parametrize("name", ["poses", "poses.xyz", "poses.JSON.zip"])
def test_unknown_endings(name: str, result: VideoResult, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"names no format; known are .json \(posetrack\)"):
        result.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_names_of_videos(result: VideoResult, tmp_path: Path, clip: Path) -> None:
    with pytest.raises(VepeError, match=r"Videos are written as MP4; name '.*a.mp4'"):
        result.save(tmp_path / "a.mov")
    with pytest.raises(VepeError, match="is a video, not a file of poses"):
        read(clip)


def test_an_absent_keypoint_stays_absent(result: VideoResult, tmp_path: Path) -> None:
    points, scores = result.frames[5].keypoints_px.copy(), result.frames[5].keypoint_scores.copy()
    points[0, 3], scores[0, 3] = np.nan, 0
    frame = replace(result.frames[5], keypoints_px=points, keypoint_scores=scores)
    one = replace(result, frames=(frame,))
    for suffix in (".json", ".coco.json", ".csv", ".parquet"):
        (pred,) = read(one.save(tmp_path / f"p{suffix}")).frames
        np.testing.assert_array_equal(np.isnan(pred.keypoints_px), np.isnan(points))
        np.testing.assert_allclose(pred.keypoint_scores, scores, atol=1e-6)
    smooth = replace(result, frames=(*result.frames[:5], frame, *result.frames[6:])).smooth()
    np.testing.assert_array_equal(np.isnan(smooth.frames[5].keypoints_px), np.isnan(points))
    assert not np.isnan(smooth.frames[6].keypoints_px).any()


def test_smooth_is_the_trackers_offline_smoothing(result: VideoResult) -> None:
    settings = SmoothingSettings(half_window_s=0.1)
    expected = smooth_offline(result.frames, settings)
    smooth = result.smooth(settings)
    assert (smooth.source, smooth.video) == (result.source, result.video)
    for a, b in zip(smooth.frames, expected, strict=True):
        np.testing.assert_array_equal(a.keypoints_px, b.keypoints_px)
    assert any(
        (a.keypoints_px != b.keypoints_px).any()
        for a, b in zip(smooth.frames, result.frames, strict=True)
    )


def test_read_with_a_video(result: VideoResult, clip: Path, images, tmp_path: Path) -> None:
    path = result.save(tmp_path / "a.csv")
    assert read(path).source is None
    pred = read(path, video=clip)
    assert pred.source == clip
    assert pred.video.path == clip
    np.testing.assert_array_equal(pred[7].image, images[7])
    other = replace(result, video=replace(result.video, width=640, height=480))
    with pytest.raises(VepeError, match=r"are of a video of 640x480, but .* has 96x64"):
        read(other.save(tmp_path / "b.csv"), video=clip)


def test_the_video_that_a_file_names_is_used(result: VideoResult, clip: Path, tmp_path) -> None:
    named = replace(result, info={"source": {"path": str(clip)}})
    pred = read(named.save(tmp_path / "a.json"))
    assert Path(pred.source) == clip
    assert pred.info == named.info
    for path in ("/nowhere/at/all.mp4", 7, "", "a\0b", None):
        named = replace(result, info={"source": {"path": path}})
        assert read(named.save(tmp_path / "b.json", overwrite=True)).source is None
    strange = replace(result, info={"source": "clip.mp4"})
    assert read(strange.save(tmp_path / "c.json")).source is None


def test_times_of_files_without_times(result: VideoResult, clip: Path, tmp_path: Path) -> None:
    document = json.loads(result.save(tmp_path / "a.json").read_text())
    for image in document["images"]:
        del image["time_s"]
    path = tmp_path / "b.json"
    path.write_text(json.dumps(document))
    assert read(path)[5].time_s == pytest.approx(5 / 25)
    assert read(path, fps=50)[5].time_s == pytest.approx(5 / 50)
    assert read(path, fps=50).video.fps == 50


def test_files_of_several_sequences(result: VideoResult, tmp_path: Path) -> None:
    for name in ("a", "b"):
        result.save(tmp_path / f"{name}.csv")
    with pytest.raises(VepeError, match="holds 2 sequences; name one of a, b"):
        read(tmp_path)
    assert read(tmp_path, sequence="b").video.name == "b"
    with pytest.raises(VepeError, match="holds no sequence 'c'; name one of a, b"):
        read(tmp_path, sequence="c")


@pytest.mark.parametrize("content", [b"", b"{}", b"no json", b'{"images": []}'])
def test_files_that_are_no_poses(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(VepeError):
        read(tmp_path / "a.json")


def test_draw_writes_the_frames_of_the_poses(result: VideoResult, clip: Path, tmp_path) -> None:
    path = result.between(0.08, 0.4).draw(tmp_path / "a.mp4", boxes=True)
    with open_video(path) as drawn, open_video(clip) as source:
        frames, originals = list(drawn), list(source)[2:10]
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(8)], abs=1e-4)
    differences = [
        np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(frames, originals, strict=True)
    ]
    assert min(differences) > 2  # something is drawn on each
    assert max(differences) < 60  # on the right frame
    assert result.save(tmp_path / "b.mp4", overwrite=False).exists()


def test_draw_refuses(result: VideoResult, clip: Path, tmp_path: Path) -> None:
    unknown = VideoResult.of(result)
    with pytest.raises(VepeError, match=r"is not known; give it: draw\('out.mp4', video='...'\)"):
        unknown.draw("out.mp4")
    with pytest.raises(VepeError, match=r"Videos are written as MP4; name '.*a.mp4'"):
        result.draw(tmp_path / "a.avi")
    with pytest.raises(VepeError, match="would replace"):
        result.draw(clip, overwrite=True)
    with pytest.raises(VepeError, match="no frames"):
        result[:0].draw(tmp_path / "a.mp4")
    beyond = replace(result, frames=(replace(result.frames[0], frame_index=99, time_s=9.0),))
    with pytest.raises(VepeError):
        beyond.draw(tmp_path / "a.mp4")
    late = replace(
        result, frames=(*result.frames, replace(result.frames[0], frame_index=12, time_s=0.48))
    )
    with pytest.raises(VepeError, match="has no frame 12"):
        late.draw(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_results_can_be_pickled(result: VideoResult, images) -> None:
    result[0].load_image()  # opens the video
    copy = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copy[5].image, images[5])


def test_strided_poses_draw_their_frames_only(result: VideoResult, tmp_path: Path) -> None:
    every_third = replace(result, frames=result.frames[::3])
    with open_video(every_third.draw(tmp_path / "a.mp4")) as drawn:
        assert len(list(drawn)) == 4
    gap = replace(result, frames=result.frames[:3] + result.frames[6:])
    with open_video(gap.draw(tmp_path / "b.mp4")) as drawn:
        assert len(list(drawn)) == 12  # frames without people may be left out of a file


def test_pose_tracks_stay_plain(tracks: PoseTracks) -> None:
    assert type(tracks[0]) is FramePoses
    assert type(tracks[1:3]) is PoseTracks
    assert isinstance(tracks.video, VideoInfo)


@pytest.mark.parametrize("name", [None, b"a.json", [], 3, "a" * 5000, "a\0.json", 0.5])
def test_what_is_no_file_name_is_one_sentence(result: VideoResult, name: object) -> None:
    for act in (vepe.read, result.save, vepe.load):
        with pytest.raises(VepeError, match=r"name of|possible name|does not exist|no weights"):
            act(name)  # type: ignore[operator]
