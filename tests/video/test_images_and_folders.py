"""Pictures: reading them upright, listing them in natural order, a folder of them as one video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_videos import CORNERS, corner_picture, grey_picture, index_of

from vepe.errors import VepeError
from vepe.video.images import image_size, list_images, read_image
from vepe.video.reader import open_video


def save(path: Path, image: np.ndarray, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("orientation", "order"),
    [(1, (0, 1, 2, 3)), (3, (3, 2, 1, 0)), (6, (2, 0, 3, 1)), (8, (1, 3, 0, 2))],
)
def test_picture_comes_upright(tmp_path: Path, orientation: int, order: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.png", corner_picture(40, 30), orientation)
    image = read_image(path)
    size = (30, 40) if orientation > 4 else (40, 30)
    assert image_size(path) == size
    assert image.shape == (size[1], size[0], 3)
    seen = [tuple(int(v) for v in image[y, x]) for y in (3, -4) for x in (3, -4)]
    assert seen == [CORNERS[i] for i in order]
    assert image.flags.writeable


@pytest.mark.parametrize(
    ("mode", "value", "rgb"),
    [
        ("L", 77, (77, 77, 77)),
        ("RGBA", (9, 99, 200, 128), (9, 99, 200)),
        ("I;16", 0x8042, (0x80, 0x80, 0x80)),
        ("1", 255, (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_kind_of_picture_becomes_rgb(
    tmp_path: Path, mode: str, value: object, rgb: tuple[int, int, int]
) -> None:
    Image.new(mode, (3, 2), value).save(tmp_path / "a.png")  # type: ignore[arg-type]
    image = read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert (image == rgb).all()


def test_damaged_pictures_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    cut = tmp_path / "cut.png"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(VepeError, match=r"cut.png' is damaged or cut off"):
        read_image(cut)
    with pytest.raises(VepeError, match=r"no picture .*none.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(VepeError, match="is a folder"):
        read_image(tmp_path)


def test_listing_is_natural_and_skips_what_is_no_picture(tmp_path: Path) -> None:
    names = ["img10.png", "img9.PNG", "img1.jpg", "b.bmp", "A2.png", "notes.txt", ".hidden.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    found = [p.name for p in list_images(tmp_path)]
    assert found == ["A2.png", "b.bmp", "img1.jpg", "img9.PNG", "img10.png"]
    assert list_images(str(tmp_path / "b.bmp")) == [tmp_path / "b.bmp"]


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="holds no pictures"):
        list_images(tmp_path)
    with pytest.raises(VepeError, match="no file or folder"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(VepeError, match="holds no pictures"):
        open_video(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(12):
        save(tmp_path / f"frame{i}.png", grey_picture(i))
    return tmp_path


def test_only_folders_take_a_frame_rate(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    for source in (tmp_path / "a.mp4", 3, "rtsp://host/door"):
        with pytest.raises(VepeError, match="30 is for folders of pictures"):
            open_video(source, fps=30)
    with pytest.raises(VepeError, match="no file or folder"):
        open_video(tmp_path / "none", fps=30)


def test_folder_is_one_video_at_25_fps(folder: Path) -> None:
    with open_video(folder) as video:
        frames = list(video)
    assert video.info.name == folder.name
    assert (video.info.width, video.info.height, video.info.fps) == (64, 48, 25.0)
    assert video.info.frame_count == 12
    assert video.info.path is None
    assert [f.name for f in frames] == [f"frame{i}.png" for i in range(12)]
    assert [index_of(f.image) for f in frames] == list(range(12))
    assert [f.time_s for f in frames] == [i / 25 for i in range(12)]


def test_folder_with_a_span_stride_and_rate(folder: Path) -> None:
    with open_video(folder, start_s=0.35, end_s=1.0, stride=2, fps=10) as video:
        frames = list(video)
    assert [f.index for f in frames] == [4, 6, 8]
    assert video.info.frame_count == 3
    assert [f.time_s for f in frames] == [0.4, 0.6, 0.8]


def test_single_picture_is_a_video_of_one_frame(folder: Path) -> None:
    with open_video(folder / "frame7.png") as video:
        frames = list(video)
    assert video.info.frame_count == len(frames) == 1
    assert index_of(frames[0].image) == 7
    assert (frames[0].index, frames[0].time_s, frames[0].name) == (0, 0.0, "frame7.png")


def test_pictures_of_two_sizes_are_refused_with_both_names(folder: Path) -> None:
    save(folder / "frame5.png", grey_picture(5, 62, 48))
    with pytest.raises(VepeError, match=r"'frame0.png' is 64x48, 'frame5.png' is 62x48"):
        open_video(folder)


def test_turned_pictures_count_with_their_upright_size(folder: Path) -> None:
    save(folder / "frame5.png", grey_picture(5, 48, 64), orientation=6)
    assert all(f.image.shape == (48, 64, 3) for f in open_video(folder))


def test_broken_picture_stops_the_folder_there(folder: Path, rng: np.random.Generator) -> None:
    bad = folder / "frame6.png"
    save(bad, rng.integers(0, 256, (48, 64, 3), np.uint8))
    bad.write_bytes(bad.read_bytes()[:3000])
    with open_video(folder) as video:
        assert [f.index for f in video] == list(range(6))
    assert video.warning is not None
    assert "frame6.png" in video.warning
    assert "after 6 frames" in video.warning


def test_folder_span_without_pictures_is_refused(folder: Path) -> None:
    with pytest.raises(VepeError, match=r"No picture of .* lies in the wanted span"):
        open_video(folder, start_s=5)
