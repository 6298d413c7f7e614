"""Copy-paste: a person of another clip is pasted, in front of some people and behind others.

"Simple Copy-Paste" (Ghiasi et al., CVPR 2021) for clips: one person with one track id in all
frames; people whose boxes end lower in the image are nearer. Pose data sets have no masks, so a
person is cut out along the skeleton: thick limbs, a filled trunk and a round head, whose border a
guided filter (He, Sun and Tang, ECCV 2010) moves to edges of the image.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from vepe.data.clip import HIDDEN, Clip, People
from vepe.data.transforms.cropping import behind, concat
from vepe.skeleton import Skeleton

MIN_KEYPOINTS = 8
"""People with fewer labelled keypoints are not cut out."""
HEAD_WORDS = ("head", "nose", "eye", "ear")


def can_be_cut_out(labelled: Bool[np.ndarray, "K"], skeleton: Skeleton) -> bool:
    """Whether enough keypoints of a person are labelled, including shoulders and hips.

    Nobody can be cut out if the skeleton has no edges, because the limbs would be missing.
    """
    if not skeleton.edges:
        return False
    needed = min(MIN_KEYPOINTS, len(skeleton))
    trunk = [k for k, n in enumerate(skeleton.keypoints) if n.endswith(("_shoulder", "_hip"))]
    return bool(np.count_nonzero(labelled) >= needed and labelled[trunk].all())


def person_mask(
    image: UInt8[np.ndarray, "H W 3"],
    keypoints_px: Float[np.ndarray, "K 2"],
    labelled: Bool[np.ndarray, "K"],
    skeleton: Skeleton,
) -> Float[np.ndarray, "H W"]:
    """Opacity of the person in each pixel, 0..1, with a soft border."""
    height, width = image.shape[:2]
    points = keypoints_px[labelled]
    low, high = points.min(axis=0), points.max(axis=0)
    unit = _unit_px(keypoints_px, labelled, skeleton, float((high - low).max()))
    margin = 1.2 * unit
    x0, y0 = (int(v) for v in np.clip(low - margin, 0, (width, height)))
    x1, y1 = (int(v) for v in np.clip(np.ceil(high + margin), 0, (width, height)))
    result = np.zeros((height, width), np.float32)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return result
    rough = _capsules((x1 - x0, y1 - y0), keypoints_px - (x0, y0), labelled, skeleton, unit)
    grey = cv2.cvtColor(np.ascontiguousarray(image[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    near = cv2.GaussianBlur(rough, (0, 0), max(0.06 * unit, 0.5))
    fitted = _guided(grey.astype(np.float32) / 255, near, radius=max(int(0.3 * unit), 2))
    result[y0:y1, x0:x1] = np.clip((fitted - 0.3) / 0.4, 0, 1)
    return result


def _unit_px(
    points: Float[np.ndarray, "K 2"], labelled: np.ndarray, skeleton: Skeleton, side_px: float
) -> float:
    """Approximate length of the trunk in pixels, from the longest limb and the person's size."""
    lengths = [
        float(np.hypot(*(points[a] - points[b])))
        for a, b in skeleton.edges
        if labelled[a] and labelled[b]
    ]
    return float(np.clip(1.3 * max(lengths, default=0.0), 0.22 * side_px, 0.5 * side_px))


def _capsules(
    size_wh: tuple[int, int],
    points: Float[np.ndarray, "K 2"],
    labelled: np.ndarray,
    skeleton: Skeleton,
    unit: float,
) -> Float[np.ndarray, "h w"]:
    mask = np.zeros(size_wh[::-1], np.float32)
    pixels = np.rint(points).astype(np.int32)
    head = [k for k, n in enumerate(skeleton.keypoints) if any(w in n for w in HEAD_WORDS)]
    for a, b in skeleton.edges:
        if labelled[a] and labelled[b]:
            names = skeleton.keypoints[a] + skeleton.keypoints[b]
            thickness = 0.34 if "hip" in names or "knee" in names else 0.24
            _line(mask, pixels[a], pixels[b], thickness * unit)
    trunk = [
        k
        for k, n in enumerate(skeleton.keypoints)
        if labelled[k] and n.endswith(("_shoulder", "_hip"))
    ]
    if len(trunk) >= 3:
        cv2.fillConvexPoly(mask, cv2.convexHull(pixels[trunk]), 1.0)
    face = [k for k in head if labelled[k]]
    if face:
        middle = np.rint(points[face].mean(axis=0)).astype(np.int32)
        spread = float(np.hypot(*(points[face] - points[face].mean(axis=0)).T).max())
        cv2.circle(mask, _xy(middle), round(max(0.26 * unit, 1.1 * spread)), 1.0, -1)
        shoulders = [k for k in trunk if skeleton.keypoints[k].endswith("_shoulder")]
        if shoulders:
            neck = np.rint(points[shoulders].mean(axis=0)).astype(np.int32)
            _line(mask, middle, neck, 0.3 * unit)
    return mask


def _line(mask: np.ndarray, start: np.ndarray, end: np.ndarray, width_px: float) -> None:
    cv2.line(mask, _xy(start), _xy(end), 1.0, max(round(width_px), 1), cv2.LINE_AA)


def _xy(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _guided(
    guide: Float[np.ndarray, "h w"], mask: Float[np.ndarray, "h w"], *, radius: int
) -> Float[np.ndarray, "h w"]:
    """The guided filter: the mask as a locally linear function of the guide."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    mean_guide, mean_mask = mean(guide), mean(mask)
    covariance = mean(guide * mask) - mean_guide * mean_mask
    slope = covariance / (mean(guide * guide) - mean_guide**2 + 1e-3)
    offset = mean_mask - slope * mean_guide
    result: np.ndarray = mean(slope) * guide + mean(offset)
    return result


def paste_person(clip: Clip, other: Clip, skeleton: Skeleton, rng: np.random.Generator) -> Clip:
    """The clip with one person of another clip of the same size.

    People whose boxes end lower are nearer and cover the others: covered keypoints become hidden,
    mostly covered people become ignore boxes. The pasted person gets a new track id. Only people
    who can be cut out and have the same keypoints labelled in every frame are candidates; if there
    are none, the clip is returned as it is.
    """
    candidates = _candidates(other, skeleton)
    if not candidates:
        return clip
    chosen = candidates[rng.integers(len(candidates))]
    new_id = 1 + max((int(p.track_ids.max(initial=-1)) for p in clip.people), default=-1)
    depth_noise_px = rng.normal(0, 0.05 * clip.images.shape[1])
    images, people = clip.images.copy(), list(clip.people)
    is_nearer: dict[int, bool] = {}
    for t, row in enumerate(chosen):
        person = replace(other.people[t].select(np.array([row])), track_ids=np.array([new_id]))
        person = replace(person, ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32))
        foot = float(person.boxes_xyxy_px[0, 3]) + depth_noise_px
        mask = person_mask(
            other.images[t], person.keypoints_px[0], person.visibility[0] > 0, skeleton
        )
        nearer = _nearer(people[t], foot, is_nearer)
        cover = _cover(clip, people[t], t, nearer, mask, skeleton)
        shown = mask * (1 - cover)
        images[t] = _blend(clip.images[t], other.images[t], shown)
        if t in clip.key_indices:
            covered = behind(people[t], shown, ~nearer)
            people[t] = concat([covered, behind(person, cover)])
    return replace(clip, images=images, people=tuple(people), name=f"{clip.name} < {other.name}")


def _candidates(clip: Clip, skeleton: Skeleton) -> list[list[int]]:
    """For each person who can be cut out in all frames, its row in each frame."""
    result = []
    for row, identity in enumerate(clip.people[0].track_ids.tolist()):
        rows = [row]
        for people in clip.people[1:]:
            rows += np.flatnonzero((people.track_ids == identity) & (identity >= 0)).tolist()[:1]
        if len(rows) < len(clip):
            continue
        labelled = [p.visibility[r] > 0 for p, r in zip(clip.people, rows, strict=True)]
        # The limb of a keypoint that leaves the view would be missing in the mask.
        constant = all(np.array_equal(frame, labelled[0]) for frame in labelled)
        if constant and can_be_cut_out(labelled[0], skeleton):
            result.append(rows)
    return result


def _nearer(people: People, foot_px: float, is_nearer: dict[int, bool]) -> np.ndarray:
    """(N,) who is in front of the pasted person; `is_nearer` keeps it constant per track id."""
    lower = people.boxes_xyxy_px[:, 3] > foot_px
    for i, identity in enumerate(people.track_ids.tolist()):
        if identity >= 0:
            lower[i] = is_nearer.setdefault(identity, bool(lower[i]))
    return lower


def _cover(
    clip: Clip,
    people: People,
    frame: int,
    nearer: np.ndarray,
    mask: Float[np.ndarray, "H W"],
    skeleton: Skeleton,
) -> Float[np.ndarray, "H W"]:
    """Opacity of the people in front, where the pasted person would be."""
    result = np.zeros_like(mask)
    for i in np.flatnonzero(nearer):
        x0, y0, x1, y1 = people.boxes_xyxy_px[i].astype(int)
        visible = people.visibility[i] > HIDDEN
        if mask[y0:y1, x0:x1].any() and visible.any():
            own = person_mask(clip.images[frame], people.keypoints_px[i], visible, skeleton)
            result = np.maximum(result, own)
    return result


def _blend(below: np.ndarray, above: np.ndarray, weight: Float[np.ndarray, "H W"]) -> np.ndarray:
    alpha = weight[..., None]  # (H, W, 1)
    return np.rint(below * (1 - alpha) + above * alpha).astype(np.uint8)
