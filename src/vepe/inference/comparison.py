"""How far two networks are apart on the frames of a video: exported models and PyTorch, int8 and
float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vepe.config.model import ModelConfig
from vepe.inference.network import Network, NetworkPoses
from vepe.inference.prepost import letterbox
from vepe.inference.window import WindowFrame, WindowState, run
from vepe.models.optical_flow import grey_image


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart on the people of at least `MIN_SCORE`.

    Attributes:
        people: number of them.
        keypoints_px: largest difference of a coordinate, in pixels of the input.
        scores: largest difference of a person score or keypoint confidence.
    """

    people: int
    keypoints_px: float
    scores: float


MIN_SCORE = 0.1


def compare(
    left: Network, right: Network, config: ModelConfig, images: Sequence[np.ndarray]
) -> Difference:
    """Runs both networks on the frames of a video, with the model's window."""
    people, points, scores = 0, 0.0, 0.0
    outputs = (stream_poses(network, config, images) for network in (left, right))
    for a, b in zip(*outputs, strict=True):
        chosen = a.scores >= MIN_SCORE
        people += int(chosen.sum())
        if chosen.any():
            points = max(points, float(np.abs(a.keypoints_px - b.keypoints_px)[chosen].max()))
            scores = max(scores, float(np.abs(a.scores - b.scores)[chosen].max()))
            confidence = np.abs(a.confidences - b.confidences)[chosen]
            scores = max(scores, float(confidence.max()))
    return Difference(people, points, scores)


def stream_poses(
    network: Network, config: ModelConfig, images: Sequence[np.ndarray]
) -> Iterator[NetworkPoses]:
    """The poses of successive frames, with the model's window."""
    state = WindowState(config.temporal.window, config.temporal.lookahead, 0.0)
    for index, image in enumerate(images):
        pixels, fit = letterbox(image, config.input_px, network.stride, network.fixed_wh)
        grey = grey_image(pixels) if network.aligned else None
        frame = WindowFrame(pixels, fit.resized_wh, grey, float(index))
        state, due = state.push(frame)
        yield from run(network, [frame], due)
    yield from run(network, [], state.flush()[1])


LOST_PX = 20.0
"""A person who is further away on average is not the same one."""
SURE = 0.3
"""Person score of the people that `drift` looks at."""


@dataclass(frozen=True)
class Drift:
    """How much worse the second network is, where its poses are not meant to be equal.

    Attributes:
        people: number of people of the first network with a score of at least `SURE`.
        keypoints_px: the mean displacement of their keypoints in pixels of the input, as the median
            over people: a few change places with a double of themselves.
        scores: median absolute difference of their person scores.
        lost: fraction of them that the second network moves by more than `LOST_PX`.
    """

    people: int
    keypoints_px: float
    scores: float
    lost: float


def drift(reference: Sequence[NetworkPoses], other: Sequence[NetworkPoses]) -> Drift:
    """Compares two outputs for the same frames; each person is compared with the nearest one."""
    moved, scores = [], []
    for a, b in zip(reference, other, strict=True):
        sure = a.scores[0] >= SURE
        offsets = a.keypoints_px[0][sure][:, None] - b.keypoints_px[0][None]  # (n, N, K, 2)
        distance = np.linalg.norm(offsets, axis=-1).mean(axis=-1)  # (n, N)
        nearest = distance.argmin(axis=1)
        rows = np.arange(len(nearest))
        moved.append(distance[rows, nearest])
        scores.append(np.abs(a.scores[0][sure] - b.scores[0][nearest]))
    people = sum(map(len, moved))
    if people == 0:
        return Drift(0, 0.0, 0.0, 0.0)
    moves = np.concatenate(moved)
    return Drift(
        people,
        float(np.median(moves)),
        float(np.median(np.concatenate(scores))),
        float(np.mean(moves > LOST_PX)),
    )
