"""Clips of figures that walk and swing their limbs, with exact keypoints, boxes and track ids.

Dimension letters: T frames, N figures, K keypoints.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from vepe.data.clip import HIDDEN, VISIBLE, Clip, People
from vepe.skeleton import POSETRACK15, Skeleton

_SIDES = {
    "shoulder": (0.13, 0.2),
    "elbow": (0.17, 0.35),
    "wrist": (0.19, 0.49),
    "hip": (0.08, 0.52),
    "knee": (0.09, 0.75),
    "ankle": (0.09, 0.97),
    "eye": (0.03, 0.075),
    "ear": (0.06, 0.085),
}
JOINTS = {"nose": (0.01, 0.1), "head_top": (0.0, 0.0), "head_bottom": (0.0, 0.17)}
JOINTS |= {"head": JOINTS["head_top"], "neck": JOINTS["head_bottom"]}
JOINTS |= {f"left_{name}": (x, y) for name, (x, y) in _SIDES.items()}
JOINTS |= {f"right_{name}": (-x, y) for name, (x, y) in _SIDES.items()}
"""Joints of a figure that stands and faces the camera: x, y from the top, in body heights."""
_CHAINS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))


def figure_clip(
    seed: int,
    *,
    frames: int = 2,
    size_wh: tuple[int, int] = (64, 64),
    people: tuple[int, int] = (1, 2),
    fps: float = 12.5,
    skeleton: Skeleton = POSETRACK15,
) -> Clip:
    """A clip of moving figures; the same seed gives the same clip.

    Figures stay inside the image. A later figure stands in front of an earlier one and hides its
    keypoints; the track id is the figure's number.

    Args:
        seed: of everything random.
        frames: T.
        size_wh: image width and height in pixels.
        people: smallest and largest number of figures.
        fps: frames per second.
        skeleton: any whose keypoints are in `JOINTS`.
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(frames) / fps
    coarse = rng.integers(40, 200, (5, 5, 3)).astype(np.uint8)
    background = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC)
    paths = [
        _joints_px(rng, time_s, size_wh) for _ in range(rng.integers(people[0], people[1] + 1))
    ]
    colours = rng.integers(60, 256, (len(paths), 3, 3))
    images, labels = [], []
    for t in range(frames):
        positions = [{name: path[t] for name, path in joints.items()} for joints in paths]
        layers = [_painted(p, c, size_wh) for p, c in zip(positions, colours, strict=True)]
        image = background.copy()
        for layer in layers:
            image = np.where(layer.any(axis=2, keepdims=True), layer, image)
        images.append(image)
        labels.append(_labels(positions, [layer.any(axis=2) for layer in layers], skeleton))
    return Clip(
        images=np.stack(images),
        time_s=time_s,
        people=tuple(labels),
        key_indices=tuple(range(frames)),
        background_weight=1.0,
        name=f"figures-{seed}",
    )


def figure_clips(count: int, seed: int = 0, **options: object) -> list[Clip]:
    """`count` clips with consecutive seeds; options as in `figure_clip`."""
    return [figure_clip(100 * seed + i, **options) for i in range(count)]  # type: ignore[arg-type]


def _joints_px(
    rng: np.random.Generator, time_s: np.ndarray, size_wh: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Name -> (T, 2) position of each joint: a walk to and fro, limbs swing about their roots."""
    width, height = size_wh
    body_px = height * rng.uniform(0.5, 0.85)
    room = width - 0.75 * body_px  # the widest swing of both arms
    middle, reach = width / 2, max(room / 2, 0)
    phase, pace = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.6, 1.2)
    centre_x = middle + reach * np.sin(phase[0] + pace * time_s)  # (T,)
    top = np.full_like(centre_x, rng.uniform(0.06 * height, 0.97 * height - body_px))
    origin = np.stack([centre_x, top], axis=1)  # (T, 2)
    swing = 0.35 * np.sin(phase[1] + 5 * pace * time_s)
    local = {name: np.tile(np.array(xy), (len(time_s), 1)) for name, xy in JOINTS.items()}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for chain, opposite in zip(_CHAINS, (1.0, -0.7), strict=True):
            names = [f"{side}_{part}" for part in chain]
            for at in (0, 1):  # the whole limb about its root, then its end about the middle joint
                for name in names[at + 1 :]:
                    local[name] = _turned(local[name], local[names[at]], sign * opposite * swing)
    return {name: origin + body_px * positions for name, positions in local.items()}


def _turned(points: np.ndarray, pivots: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(T, 2) points turned about (T, 2) pivots by (T,) angles in radians."""
    x, y = (points - pivots).T
    cos, sin = np.cos(angles), np.sin(angles)
    return pivots + np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def _painted(
    joints: dict[str, np.ndarray], colours: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray:
    """(H, W, 3) image of one figure on black; its right limbs are darker than its left ones."""
    layer = np.zeros((*size_wh[::-1], 3), np.uint8)
    height = float(joints["left_ankle"][1] - joints["head_top"][1])
    pixel = {name: tuple(np.floor(xy).astype(int).tolist()) for name, xy in joints.items()}
    shirt, trousers, skin = (tuple(map(int, c)) for c in colours)
    thick = max(round(0.075 * height), 2)
    corners = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    for side, share in (("right", 0.6), ("left", 1.0)):
        for chain, colour in zip(_CHAINS, (shirt, trousers), strict=True):
            shade = tuple(int(share * c) for c in colour)
            for a, b in pairwise(chain):
                cv2.line(layer, pixel[f"{side}_{a}"], pixel[f"{side}_{b}"], shade, thick)
    cv2.fillConvexPoly(layer, np.array([pixel[name] for name in corners]), shirt)
    middle = (joints["head_top"] + joints["head_bottom"]) / 2
    radius = max(round(0.09 * height), 2)
    cv2.circle(layer, tuple(np.floor(middle).astype(int).tolist()), radius, skin, -1)
    cv2.line(layer, pixel["head_bottom"], pixel["head_top"], skin, thick)
    return layer


def _labels(
    joints: list[dict[str, np.ndarray]], masks: list[np.ndarray], skeleton: Skeleton
) -> People:
    n = len(joints)
    points = np.array([[j[name] for name in skeleton.keypoints] for j in joints]).reshape(n, -1, 2)
    visibility = np.full(points.shape[:2], VISIBLE)
    boxes = np.zeros((n, 4))
    x, y = np.floor(points).astype(int).transpose(2, 0, 1)  # (N, K) each
    for i, mask in enumerate(masks):
        for nearer in masks[i + 1 :]:
            visibility[i, nearer[y[i], x[i]]] = HIDDEN
        rows, columns = np.nonzero(mask)
        boxes[i] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    heads = np.array([[*j["head_top"], *j["head_bottom"]] for j in joints]).reshape(n, 4)
    side = (heads[:, 3] - heads[:, 1])[:, None] / 2 * (1, 0)
    return People(
        keypoints_px=points.astype(np.float32),
        visibility=visibility,
        boxes_xyxy_px=boxes.astype(np.float32),
        areas_px=np.array([mask.sum() for mask in masks], np.float32),
        track_ids=np.arange(n),
        ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32),
        head_boxes_xyxy_px=np.concatenate([heads[:, :2] - side, heads[:, 2:] + side], 1).astype(
            np.float32
        ),
    )
