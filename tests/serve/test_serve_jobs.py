"""Jobs, images and live frames on a real server, through the client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import pytest
from running_server import CLIP, SECRET_PLACE, Running
from websockets.sync.client import connect

from tiny_models import moving_frames, write_video
from vepe.client import Client, ServerError
from vepe.errors import VepeError
from vepe.formats.tracks import read_tracks
from vepe.serve.guard import COOKIE


@pytest.fixture(scope="module")
def tracked(server: Running) -> str:
    """A job that is done."""
    client = server.client
    job = client.submit(CLIP, imgsz=256, end=1.0, conf=0.2)
    assert job.status in ("queued", "running")
    done = client.wait(job.id, timeout_s=120)
    assert (done.frames, done.total, done.name) == (13, 13, "walking.mp4")
    assert done.people
    return done.id


def test_frames_poses_and_files_agree(server: Running, tracked: str, tmp_path: Path) -> None:
    client = server.client
    frames = list(client.frames(tracked))
    assert [frame.frame for frame in frames] == list(range(13))
    assert [frame.frame for frame in client.frames(tracked, start=9)] == [9, 10, 11, 12]
    (saved,) = read_tracks(client.save_poses(tracked, tmp_path / "poses.json"))
    assert [len(frame) for frame in saved] == [len(frame.people) for frame in frames]
    assert saved.info["source"] == {
        "name": "walking.mp4", "path": None, "frames_are_files": False,
        "fps": 12.5, "width": 480, "height": 270,
    }  # fmt: skip
    person = next(person for frame in frames for person in frame.people)
    assert person.track_id is not None
    assert len(person.keypoints) == 15
    for name in ("a.csv", "a.coco.json", "a.mot.txt", "a.jsonl", "a.parquet"):
        assert client.save_poses(tracked, tmp_path / name).stat().st_size > 100
    with pytest.raises(VepeError, match="names no format"):
        client.save_poses(tracked, tmp_path / "a.doc")


def test_the_video_plays_in_browsers(server: Running, tracked: str, tmp_path: Path) -> None:
    path = server.client.save_video(tracked, tmp_path / "out.mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.width) == ("h264", "yuv420p", 480)
    for address in ("video", "source"):
        response, body = server.get(f"/v1/jobs/{tracked}/{address}", Range="bytes=10-29")
        assert (response.status, len(body)) == (206, 20)
        assert response.headers["content-range"].startswith("bytes 10-29/")
        assert response.headers["content-type"] == "video/mp4"


def test_events_name_the_job(server: Running, tracked: str) -> None:
    _, body = server.get(f"/v1/jobs/{tracked}/events?from=12")
    assert json.loads(body.split(b"\n")[1][6:])["progress"]["total"] == 13
    events = [event.split(b"\n") for event in body.strip().split(b"\n\n")]
    assert [event[0] for event in events] == [b"event: progress", b"event: frame", b"event: end"]
    assert events[1][1] == b"id: 12"
    _, again = server.get(f"/v1/jobs/{tracked}/events", **{"Last-Event-ID": "11"})
    assert again == body  # a browser that connects again
    assert json.loads(events[2][1][6:])["id"] == tracked


def test_a_job_says_what_is_known(server: Running, tracked: str) -> None:
    values = server.client.job(tracked).values
    assert values["video"] == {
        "width": 480, "height": 270, "fps": 12.5, "duration_s": 2.8, "playable": True,
        "image": False,
    }  # fmt: skip
    assert values["options"]["imgsz"] == 256
    assert len(values["skeleton"]["keypoints"]) == 15
    assert values["first_poses_s"] > 0
    _, body = server.get(f"/v1/jobs/{tracked}/skeleton")
    assert json.loads(body)["edges"]


def test_an_image_is_a_job_of_one_frame(server: Running, photo: Path) -> None:
    client = server.client
    job = client.wait(client.submit(photo, imgsz=64).id, timeout_s=60)
    assert job.frames == 1
    assert job.values["video"]["image"] is True
    response, _ = server.get(f"/v1/jobs/{job.id}/source")
    assert response.headers["content-type"] == "image/jpeg"
    client.delete(job.id)
    with pytest.raises(ServerError, match="There is no such job"):
        client.job(job.id)


def test_a_file_below_the_root_is_tracked_and_never_deleted(server: Running, clip: Path) -> None:
    root = server.settings.root
    assert root is not None
    original = Path(shutil.copy(clip, root / "below.mp4"))
    (root / "link.mp4").symlink_to(clip)
    client = server.client
    job = client.wait(client.submit_path("below.mp4", imgsz=64).id, timeout_s=60)
    assert job.frames == 6
    client.delete(job.id)
    assert original.exists()
    for path in ("../below.mp4", "link.mp4", str(clip), "/etc/passwd", ".", "", "a\0b", "no.mp4"):
        with pytest.raises(ServerError, match="there is no such file"):
            client.submit_path(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"no video at all", "neither a video nor an image"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "neither a video nor an image"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "neither a video nor an image"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 3000, "not a video, or is damaged"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 300, "is not a readable image"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 2_100_000, "larger than 2 MB"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_refused(
    server: Running, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ServerError, match=says) as caught:
        server.client.submit(path)
    assert 400 <= caught.value.status < 500
    assert SECRET_PLACE not in str(caught.value)
    assert not any((server.settings.data / "incoming").iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "../../etc/passwd"}, "There is no model"),
        ({"model": "vepe-s"}, "choose from vepe-n"),
        ({"conf": "2"}, "conf must be a number from 0 to 1"),
        ({"conf": "nan"}, "conf must be a number"),
        ({"window": "1.5"}, "window must be a whole number"),
        ({"smooth": "much"}, "smooth must be one of off, causal, offline"),
        ({"colour": "red"}, "There is no option 'colour'"),
    ],
)
def test_wrong_options(server: Running, clip: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(ServerError, match=says) as caught:
        server.client.submit(clip, **options)
    assert caught.value.status == 422


def test_limits_of_the_video(server: Running, tmp_path: Path) -> None:
    wide = write_video(tmp_path / "wide.mp4", moving_frames(2, 1000, 700))
    with pytest.raises(ServerError, match=r"1000 x 700 pixels"):
        server.client.submit(wide)
    frames = moving_frames(3, 64, 48)
    long = write_video(tmp_path / "long.mp4", frames, times_s=(0.0, 10.0, 20.0))
    with pytest.raises(VepeError, match=r"'long.mp4' is longer than 10 seconds"):
        # Where the header does not say so, the job fails.
        server.client.wait(server.client.submit(long).id, timeout_s=60)


def test_predict(server: Running, photo: Path, clip: Path) -> None:
    poses = server.client.predict(photo, conf=0.3)
    assert (poses.width, poses.height) == (480, 270)
    assert len(poses.people) == 2
    assert len(poses.people[0].keypoints) == len(poses.keypoint_names) == 15
    for path, says in ((clip, "is a video; send it to"), (Path(__file__), "neither a video")):
        with pytest.raises(ServerError, match=says):
            server.client.predict(path)
    with pytest.raises(ServerError, match="Images have the options"):
        server.client.predict(photo, window=3)


def test_live_frames_keep_their_ids(server: Running, photo: Path) -> None:
    data = photo.read_bytes()
    with connect(f"ws://127.0.0.1:{server.port}/v1/live?conf=0.3") as socket:
        for index in range(3):
            socket.send(data)
            answer = json.loads(socket.recv(timeout=60))
            assert (answer["frame"], answer["width"], answer["height"]) == (index, 480, 270)
            assert [person["track_id"] for person in answer["people"]] == [1, 2]
        socket.send(b"no image")
        assert "must be a JPEG" in json.loads(socket.recv(timeout=60))["error"]
        socket.send("text")
        assert "binary" in json.loads(socket.recv(timeout=60))["error"]
    with connect(f"ws://127.0.0.1:{server.port}/v1/live?model=x") as socket:
        assert "There is no model" in json.loads(socket.recv(timeout=60))["error"]


def test_pages_and_counters(server: Running) -> None:
    response, body = server.get("/docs")
    assert b"/v1/jobs/{job_id}/poses" in body
    assert b"WebSocket at <code>/v1/live</code>" in body
    assert b"<script" not in body
    assert b"http://" not in body.replace(b"http://127.0.0.1", b"")
    assert server.get("/openapi.json")[0].status == 200
    text = server.get("/metrics")[1].decode()
    assert "vepe_frames_total" in text
    assert 'vepe_memory_bytes{role="server"}' in text
    assert json.loads(server.get("/v1/models")[1])[0]["name"] == "vepe-n"
    assert server.client.healthy()
    assert server.client.models() == ["vepe-n"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert COOKIE not in str(response.headers)


def test_no_server() -> None:
    client = Client("http://127.0.0.1:9")
    assert not client.healthy()
    with pytest.raises(VepeError, match="cannot be reached"):
        client.jobs()
    with pytest.raises(VepeError, match="is no address"):
        Client("ftp://x")
