"""`Predictor.predict`: one image or many, of any kind; results do not depend on the batch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_models import moving_frames, tiny_predictor
from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.results.frame import FrameResult


def assert_same(left: list[FrameResult], right: list[FrameResult], atol: float = 0.0) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=atol)
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=100 * atol)


def test_one_image_gives_one_result_with_its_image(predictor: Predictor, frames) -> None:
    result = predictor.predict(frames[0])
    assert isinstance(result, FrameResult)
    assert result.image is frames[0]
    assert result.draw().shape == frames[0].shape
    assert result.skeleton == predictor.skeleton


def test_files_are_read_again_rather_than_kept(predictor: Predictor, frames, tmp_path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(frames[0]).save(path)
    result = predictor.predict(path)
    assert result.name == str(path)
    np.testing.assert_array_equal(result.image, frames[0])
    path.unlink()
    with pytest.raises(VepeError, match="There is no image"):
        _ = result.image


def test_series_of_every_kind(predictor: Predictor, frames, tmp_path: Path) -> None:
    images = frames[:3]
    alone = [predictor.predict(image) for image in images]
    array = np.stack(images)
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    mixed = [paths[0], Image.fromarray(images[1]), tensor[2]]
    for series in (images, tuple(images), array, tensor, tensor / 255, paths, mixed):
        results = predictor.predict(series)
        assert isinstance(results, list)
        assert_same(results, alone)
        assert [r.frame_index for r in results] == [0, 1, 2]
    assert predictor.predict([]) == []
    assert_same([predictor.predict(tensor[0])], alone[:1])


def test_a_generator_is_read_batch_by_batch(predictor: Predictor, frames) -> None:
    taken = []

    def images():
        for index, image in enumerate(frames):
            taken.append(index)
            yield image

    results = predictor.predict(images(), batch=4)
    assert taken == []
    first = next(results)
    assert taken == [0, 1, 2, 3]
    rest = list(results)
    assert [r.frame_index for r in (first, *rest)] == list(range(12))


@pytest.mark.parametrize("batch", [2, 5, 12])
def test_results_do_not_depend_on_the_batch(batch: int, frames) -> None:
    predictor = tiny_predictor(conf=0.0)
    other = moving_frames(3, width=90, height=70, seed=3)
    slim = moving_frames(2, width=48, height=20, seed=4)
    images = [*frames[:3], *other, frames[4], *slim, *frames[5:8]]
    alone = [predictor.predict(image) for image in images]
    assert_same(predictor.predict(images, batch=batch), alone, atol=1e-5)


def test_wrong_images_of_a_series_are_named(predictor: Predictor, frames, tmp_path) -> None:
    with pytest.raises(VepeError, match=r"^Image 1 of the series: An image must be a uint8"):
        predictor.predict([frames[0], frames[0] / 255.0])
    with pytest.raises(VepeError, match=r"^Image 0 of the series: There is no image"):
        predictor.predict([tmp_path / "no.png"])
    with pytest.raises(VepeError, match=r"'walk.mp4' is a video; use track\('walk.mp4'\)"):
        predictor.predict("walk.mp4")
    with pytest.raises(VepeError, match=r"is an address; download the image"):
        predictor.predict("https://example.org/a.jpg")


@pytest.mark.parametrize("image", [{"a": 1}, b"abc", io.BytesIO(b"abc"), 3, None, object()])
def test_what_is_neither_image_nor_series(image: object, predictor: Predictor) -> None:
    with pytest.raises(VepeError, match="image"):
        predictor.predict(image)


@pytest.mark.parametrize(("batch", "says"), [(0, "batch is 0; give 1"), (1.5, "a whole number")])
def test_wrong_batch(batch, says, predictor: Predictor, frames) -> None:
    with pytest.raises(VepeError, match=says):
        predictor.predict(frames, batch=batch)
