"""What `Predictor.predict` returns: results of one image or of many, in batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vepe.errors import VepeError
from vepe.inference.arguments import Rgb, as_array, is_tensor
from vepe.results.frame import FrameResult
from vepe.results.images import held
from vepe.skeleton import Skeleton
from vepe.types import FramePoses
from vepe.video.images import VIDEO_SUFFIXES, read_image

PosesOf = Callable[[Sequence[Rgb]], list[FramePoses]]
"""The network: the people of each of a batch of images."""


def predict_images(
    images: Any, batch: int, poses_of: PosesOf, skeleton: Skeleton
) -> FrameResult | list[FrameResult] | Iterator[FrameResult]:
    """The results of what `Predictor.predict` takes; one result, a list, or an iterator."""
    if (isinstance(images, np.ndarray) or is_tensor(images)) and images.ndim == 4:
        images = list(images)
    if isinstance(images, list | tuple):
        return list(_results(iter(images), batch, poses_of, skeleton))
    if _is_series(images):
        return _results(iter(images), batch, poses_of, skeleton)
    pixels, load_image = _read(images)
    name = str(images) if isinstance(images, str | Path) else ""
    return FrameResult.of(poses_of([pixels])[0], skeleton, load_image, name)


def _results(
    images: Iterator[object], batch: int, poses_of: PosesOf, skeleton: Skeleton
) -> Iterator[FrameResult]:
    first = 0
    while chunk := list(islice(images, batch)):
        read = []
        for index, image in enumerate(chunk, start=first):
            try:
                read.append(_read(image))
            except VepeError as error:
                raise VepeError(f"Image {index} of the series: {error}") from None
        outputs = poses_of([pixels for pixels, _ in read])
        for row, (poses, image) in enumerate(zip(outputs, chunk, strict=True)):
            name = str(image) if isinstance(image, str | Path) else ""
            poses = replace(poses, frame_index=first + row)
            yield FrameResult.of(poses, skeleton, read[row][1], name)
        first += len(chunk)


def _is_series(value: object) -> bool:
    """Whether it is a series of images rather than one thing that happens to be iterable."""
    one_thing = isinstance(
        value, np.ndarray | str | bytes | bytearray | dict | Path | Image.Image | io.IOBase
    )
    return isinstance(value, Iterable) and not one_thing and not is_tensor(value)


def _read(image: object) -> tuple[Rgb, partial[Rgb]]:
    """The pixels of an image, and how its result gets them again: files are not kept in memory."""
    if isinstance(image, str | Path):
        if "://" in str(image):
            raise VepeError(f"'{image}' is an address; download the image, and give its path.")
        if Path(image).suffix.lower() in VIDEO_SUFFIXES:
            raise VepeError(f"'{image}' is a video; use track('{image}').")
        return read_image(image), partial(read_image, image)
    pixels = as_array(image)
    return pixels, partial(held, pixels)
