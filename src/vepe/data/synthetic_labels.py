"""Labels of made-up people: what is in the picture, what is covered, how large everybody is.

Dimension letters: N people, K keypoints.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt16

from vepe.data.clip import HIDDEN, UNLABELLED, VISIBLE, People
from vepe.data.synthetic_figures import PART_INDEX, PARTS, Figure, owner_figure
from vepe.data.synthetic_motion import JOINT_INDEX
from vepe.skeleton import Skeleton

_FACE = ("nose", "left_eye", "right_eye")
_LIMB_OF = {
    "shoulder": ("upper_arm",),
    "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm", "hand"),
    "hip": ("thigh",),
    "knee": ("thigh", "shank"),
    "ankle": ("shank", "foot"),
}


def _own_parts(keypoint: str) -> tuple[str, ...]:
    """The parts of a body that show a keypoint; any other part of it hides the keypoint."""
    side, _, joint = keypoint.partition("_")
    if joint in _LIMB_OF:
        trunk = ("torso", "hair") if joint in ("shoulder", "hip") else ()
        return (*(f"{side}_{part}" for part in _LIMB_OF[joint]), *trunk)
    return ("head", "neck", "hair", "torso")


def visible_parts(skeleton: Skeleton) -> Bool[np.ndarray, "K parts"]:
    """Which parts of a body (in the order of `PARTS`) show which keypoint."""
    table = np.zeros((len(skeleton), len(PARTS)), bool)
    for k, name in enumerate(skeleton.keypoints):
        table[k, [PART_INDEX[part] for part in _own_parts(name)]] = True
    return table


def label_frame(
    figures: list[Figure],
    owners: UInt16[np.ndarray, "H W"],
    frame: int,
    depth_rank: Int[np.ndarray, "N"],
    skeleton: Skeleton,
) -> tuple[People, Float[np.ndarray, "N 4"]]:
    """The people of one frame, and their head boxes as x1, y1, x2, y2 in pixels.

    A keypoint out of the picture is unlabelled; one that a nearer figure, a post or another part
    of its own body covers is hidden. Somebody of whom no keypoint can be seen is left out, and
    becomes an ignore region where some of the body shows.

    Args:
        figures: everybody in the clip; their index is their track id.
        owners: the owner map of the frame.
        frame: index of the frame.
        depth_rank: order of drawing; a larger rank is nearer.
        skeleton: the keypoints that are wanted.
    """
    joints = [JOINT_INDEX[name] for name in skeleton.keypoints]
    shows = visible_parts(skeleton)
    kept, heads, ignored = [], [], []
    for index, figure in enumerate(figures):
        area, box = _extent(figure, frame, owners.shape)
        if area < 1:
            continue
        keypoints = figure.joints_px[frame, joints]
        visibility = _visibility(
            figure, index, keypoints, owners, frame, depth_rank, shows, skeleton
        )
        if (visibility == VISIBLE).any():
            kept.append((index, keypoints, visibility, area, box))
            heads.append(_bounds(figure.head_outline_px(frame), owners.shape))
        elif (owner_figure(owners) == index).any():
            ignored.append(box)
    if not kept:
        people = People.empty(len(skeleton))
    else:
        ids, points, seen, areas, boxes = zip(*kept, strict=True)
        visibility = np.stack(seen)
        people = People(
            keypoints_px=np.where(visibility[..., None] > 0, np.stack(points), 0).astype(
                np.float32
            ),
            visibility=visibility,
            boxes_xyxy_px=np.stack(boxes).astype(np.float32),
            areas_px=np.asarray(areas, np.float32),
            track_ids=np.asarray(ids, np.int64),
            ignore_boxes_xyxy_px=np.asarray(ignored, np.float32).reshape(-1, 4),
        )
    return people, np.asarray(heads, np.float32).reshape(-1, 4)


def _visibility(
    figure: Figure,
    index: int,
    keypoints_px: Float[np.ndarray, "K 2"],
    owners: UInt16[np.ndarray, "H W"],
    frame: int,
    depth_rank: Int[np.ndarray, "N"],
    shows: Bool[np.ndarray, "K parts"],
    skeleton: Skeleton,
) -> Int[np.ndarray, "K"]:
    height, width = owners.shape
    pixels = np.floor(keypoints_px).astype(int)
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    x, y = np.clip(pixels, 0, (width - 1, height - 1)).T
    codes = owners[y, x].astype(np.int64)
    who = owner_figure(codes)
    # A keypoint on the figure's rim may show what lies behind; only nearer things hide it.
    rank = np.append(depth_rank, np.iinfo(np.int64).max)[np.clip(who, 0, len(depth_rank))]
    covered = (who >= 0) & (who != index) & (rank > depth_rank[index])
    part = (codes - 1) % len(PARTS)
    covered |= (who == index) & ~shows[np.arange(len(part)), part]
    angle = float(figure.head_angles[frame])
    turned_away = {"nose": abs(angle) > 1.8}
    turned_away |= {"left_eye": not -0.9 < angle < 1.8, "right_eye": not -1.8 < angle < 0.9}
    turned_away |= {"left_ear": angle < 0.0, "right_ear": angle > 0.0}
    covered |= np.array([turned_away.get(name, False) for name in skeleton.keypoints])
    return np.where(inside, np.where(covered, HIDDEN, VISIBLE), UNLABELLED).astype(np.int64)


def _extent(
    figure: Figure, frame: int, shape: tuple[int, ...]
) -> tuple[float, Float[np.ndarray, "4"]]:
    """Area and box of the whole person within the picture, whatever covers it."""
    outlines = figure.outlines_px(frame)
    x1, y1, x2, y2 = (int(v) for v in _bounds(np.concatenate(outlines), shape))
    if x2 <= x1 or y2 <= y1:
        return 0.0, np.zeros(4)
    mask = np.zeros((y2 - y1 + 1, x2 - x1 + 1), np.uint8)
    for outline in outlines:
        points = np.rint((outline - (x1 + 0.5, y1 + 0.5)) * 16).astype(np.int32)
        cv2.fillConvexPoly(mask, points, 1, cv2.LINE_8, 4)
    left, top, wide, high = cv2.boundingRect(mask)
    box = np.array([x1 + left, y1 + top, x1 + left + wide, y1 + top + high], np.float64)
    return float(cv2.countNonZero(mask)), np.minimum(box, [*shape[1::-1], *shape[1::-1]])


def _bounds(points_px: Float[np.ndarray, "V 2"], shape: tuple[int, ...]) -> Float[np.ndarray, "4"]:
    """Smallest box around points, cut at the picture's border."""
    limit = np.array([shape[1], shape[0]], np.float64)
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)])
