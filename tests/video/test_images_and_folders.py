"""Images: reading them upright, listing them in natural order, a folder of them as one video."""

from __future__ import annotations

import os
import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tiny_videos import CORNERS, corner_image, grey_image, index_of

from vepe.errors import VepeError, VepeWarning
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
def test_image_comes_upright(tmp_path: Path, orientation: int, order: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.png", corner_image(40, 30), orientation)
    image = read_image(path)
    size = (30, 40) if orientation > 4 else (40, 30)
    assert image_size(path) == size
    assert image.shape == (size[1], size[0], 3)
    colours = [tuple(int(v) for v in image[y, x]) for y in (3, -4) for x in (3, -4)]
    assert colours == [CORNERS[i] for i in order]
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
def test_every_image_mode_becomes_rgb(
    tmp_path: Path, mode: str, value: object, rgb: tuple[int, int, int]
) -> None:
    Image.new(mode, (3, 2), value).save(tmp_path / "a.png")  # type: ignore[arg-type]
    image = read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert (image == rgb).all()


def test_damaged_images_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    cut = tmp_path / "cut.png"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(VepeError, match=r"cut.png' is damaged or cut off"):
        read_image(cut)
    with pytest.raises(VepeError, match=r"no image .*none.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(VepeError, match="is a folder"):
        read_image(tmp_path)


def test_listing_is_in_natural_order_and_skips_other_files(tmp_path: Path) -> None:
    names = ["img10.png", "img9.PNG", "img1.jpg", "b.bmp", "A2.png", "notes.txt", ".hidden.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    names = [p.name for p in list_images(tmp_path)]
    assert names == ["A2.png", "b.bmp", "img1.jpg", "img9.PNG", "img10.png"]
    assert list_images(str(tmp_path / "b.bmp")) == [tmp_path / "b.bmp"]


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="holds no images"):
        list_images(tmp_path)
    with pytest.raises(VepeError, match="no file or folder"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(VepeError, match="holds no images"):
        open_video(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(12):
        save(tmp_path / f"frame{i}.png", grey_image(i))
    return tmp_path


def test_only_folders_take_a_frame_rate(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    for source in (tmp_path / "a.mp4", 3, "rtsp://host/door"):
        with pytest.raises(VepeError, match="30 is for folders of images"):
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


def test_single_image_is_a_video_of_one_frame(folder: Path) -> None:
    with open_video(folder / "frame7.png") as video:
        frames = list(video)
    assert video.info.frame_count == len(frames) == 1
    assert index_of(frames[0].image) == 7
    assert (frames[0].index, frames[0].time_s, frames[0].name) == (0, 0.0, "frame7.png")


def test_images_of_two_sizes_are_refused_with_both_names(folder: Path) -> None:
    save(folder / "frame5.png", grey_image(5, 62, 48))
    with pytest.raises(VepeError, match=r"'frame0.png' is 64x48, 'frame5.png' is 62x48"):
        open_video(folder)


def test_rotated_images_count_with_their_upright_size(folder: Path) -> None:
    save(folder / "frame5.png", grey_image(5, 48, 64), orientation=6)
    assert all(f.image.shape == (48, 64, 3) for f in open_video(folder))


def test_broken_images_are_skipped_with_a_warning(folder: Path, rng: np.random.Generator) -> None:
    bad = folder / "frame6.png"
    save(bad, rng.integers(0, 256, (48, 64, 3), np.uint8))
    bad.write_bytes(bad.read_bytes()[:3000])
    (folder / "frame1.png").write_bytes(b"")  # not even a header
    with open_video(folder) as video:
        frames = list(video)
    total = video.info.frame_count
    assert total is not None
    assert [f.index for f in frames] == [i for i in range(total) if i not in (1, 6)]
    assert all(f.time_s == f.index / 25 for f in frames)
    assert video.warning is not None
    assert "frame1.png" in video.warning
    assert f"lack 2 of {total} images" in video.warning
    assert video.incomplete


def test_folder_of_broken_images_is_refused(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(VepeError, match=r"0\.png"):
        open_video(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_animated_image_is_a_video_with_its_own_times(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(grey_image(i)) for i in range(4)]
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    durations = [100, 50, 200, 100]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, **options)
    with open_video(path) as video:
        read = list(video)
    assert [index_of(f.image) for f in read] == [0, 1, 2, 3]
    np.testing.assert_allclose([f.time_s for f in read], [0, 0.1, 0.15, 0.35])
    assert video.info.frame_count == 4
    assert not video.incomplete
    with open_video(path, start_s=0.12, end_s=0.3) as video:
        assert [f.index for f in video] == [2]
    with pytest.warns(VepeWarning, match="only its first frame"):
        assert index_of(read_image(path)) == 0


def test_of_several_pages_the_first_is_used_and_said(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "one.tif")
    with pytest.warns(VepeWarning, match=r"two\.tif' has several pages; only the first is used"):
        np.testing.assert_array_equal(read_image(tmp_path / "two.tif")[0, 0], [255, 0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "one.tif")


def test_animated_image_that_is_cut_off_is_incomplete(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    frames = [Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)) for _ in range(4)]
    path = tmp_path / "a.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_video(path) as video:
        read = list(video)
    assert 1 <= len(read) < 4
    assert video.incomplete
    assert "cannot be read" in str(video.warning)


def test_folder_span_without_images_is_refused(folder: Path) -> None:
    with pytest.raises(VepeError, match=r"No image of .* lies in the span"):
        open_video(folder, start_s=5)


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("I", (0, 100, 255), (0, 100, 255)),
        ("I", (0, 25_600, 65_535), (0, 100, 255)),
        ("I", (0, 2**30, 2**31 - 1), (0, 127, 255)),
        ("F", (0, 0.5, 1.0), (0, 127, 255)),
        ("F", (0, 100.0, 255.0), (0, 100, 255)),
        ("F", (np.nan, 25_600.0, 65_535.0), (0, 100, 255)),
    ],
)
def test_grey_of_32_bits(tmp_path: Path, mode: str, values: tuple, expected: tuple) -> None:
    kind = np.int32 if mode == "I" else np.float32
    image = Image.fromarray(np.array([values], kind))
    assert image.mode == mode
    image.save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[0].tolist() == [[v] * 3 for v in expected]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["b.mp4"], r"holds no images, but a video; for videos: vepe track '.*'"),
        (["b.MOV", "c.mkv", "notes.txt"], r"but 2 videos; for videos: vepe track"),
        (["sub/a.jpg"], r"holds no images, but its subfolders do; give them as '.*/\*'"),
        (["notes.txt"], "give one with jpg or png files"),
    ],
)
def test_folder_without_images_says_what_helps(tmp_path: Path, names: list[str], text: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(VepeError, match=text):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["f0.png", "f1.png", "f2.png"], None),
        (["f0.png", "f5.png", "f10.png", "f15.png"], None),
        (["17001.png", "17034.png", "17070.png", "17099.png"], None),
        (["a.png", "b.png"], None),
        (["f0.jpg", "f0.png", "f1.jpg"], "'f0.jpg' and 'f0.png' differ in their ending only"),
        (["f0.png", "f1.png", "f2.png", "f6.png"], "gap between 'f2.png' and 'f6.png'"),
        (["f0.png", "f1.png", "f3.png", "f4.png", "f9.png"], r"\(2 such gaps\)"),
    ],
)
def test_odd_numbering_is_reported(tmp_path: Path, names: list[str], text: str | None) -> None:
    for i, name in enumerate(names):
        save(tmp_path / name, grey_image(i))
    with open_video(tmp_path) as video:
        assert len(list(video)) == len(names)
    assert not video.incomplete
    if text is None:
        assert video.warning is None
    else:
        assert re.search(text, video.warning or "")


def test_dangling_link_is_a_missing_frame(folder: Path) -> None:
    (folder / "frame12.png").symlink_to(folder / "gone.png")
    with open_video(folder) as video:
        assert len(list(video)) == 12
    assert video.incomplete
    assert video.warning is not None
    assert "link to a file that does not exist" in video.warning
    with pytest.raises(VepeError, match="link to a file that does not exist"):
        read_image(folder / "frame12.png")


def test_png_with_broken_pixels_has_a_size_and_is_a_missing_frame(folder: Path) -> None:
    path = folder / "frame5.png"
    raw = bytearray(path.read_bytes())
    raw[-30] ^= 0xFF
    path.write_bytes(raw)
    assert image_size(path) == (64, 48)
    with open_video(folder) as video:
        assert len(list(video)) == 11
    assert video.incomplete


def test_broken_exif_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.jpg", grey_image(3), orientation=6)

    def broken(_: Image.Image) -> Image.Exif:
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr(Image.Image, "getexif", broken)
    assert image_size(path) == (64, 48)
    assert read_image(path).shape == (48, 64, 3)


def test_every_exif_orientation_is_as_pillow_turns_it(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        path = save(tmp_path / "a.png", corner_image(40, 30), orientation)
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.skipif(os.name != "posix", reason="pipes have other names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.jpg"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(VepeError, match="no regular file; give a video file, or pipe the video"):
        open_video(tmp_path / "a.mp4")
    with pytest.raises(VepeError, match="no regular file; give an image"):
        read_image(tmp_path / "a.jpg")
