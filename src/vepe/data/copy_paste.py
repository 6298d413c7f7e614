"""Copy and paste: a person of another clip walks into this one, before some and behind others.

After Ghiasi et al., "Simple Copy-Paste" (CVPR 2021), for clips: one person with one identity in all
frames, each cut out along the skeleton, and an order in depth by where people's boxes end below.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from vepe.data.clip import HIDDEN, Clip, People
from vepe.data.person_masks import can_be_cut_out, person_mask
from vepe.data.view import behind, together
from vepe.skeleton import Skeleton


def paste_person(clip: Clip, other: Clip, skeleton: Skeleton, rng: np.random.Generator) -> Clip:
    """The clip with one person of another clip of the same size.

    People whose boxes end lower are nearer and cover the others: covered keypoints become hidden,
    people of whom most is covered become ignore boxes. The person pasted gets an identity of its
    own. Only people who can be cut out, with the same joints in every frame, are taken; without
    any the clip stays.
    """
    candidates = _candidates(other, skeleton)
    if not candidates:
        return clip
    chosen = candidates[rng.integers(len(candidates))]
    new_id = 1 + max((int(p.track_ids.max(initial=-1)) for p in clip.people), default=-1)
    blurred_order = rng.normal(0, 0.05 * clip.images.shape[1])
    images, people = clip.images.copy(), list(clip.people)
    nearer: dict[int, bool] = {}
    for t, row in enumerate(chosen):
        person = replace(other.people[t].select(np.array([row])), track_ids=np.array([new_id]))
        person = replace(person, ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32))
        foot = float(person.boxes_xyxy_px[0, 3]) + blurred_order
        mask = person_mask(
            other.images[t], person.keypoints_px[0], person.visibility[0] > 0, skeleton
        )
        before = _in_front(people[t], foot, nearer)
        shield = _shield(clip, people[t], t, before, mask, skeleton)
        shown = mask * (1 - shield)
        images[t] = _blend(clip.images[t], other.images[t], shown)
        if t in clip.key_indices:
            covered = behind(people[t], shown, ~before)
            people[t] = together([covered, behind(person, shield)])
    return replace(clip, images=images, people=tuple(people), name=f"{clip.name} < {other.name}")


def _candidates(clip: Clip, skeleton: Skeleton) -> list[list[int]]:
    """For each person who can be cut out in all frames, its row in each."""
    result = []
    for row, identity in enumerate(clip.people[0].track_ids.tolist()):
        rows = [row]
        for people in clip.people[1:]:
            rows += np.flatnonzero((people.track_ids == identity) & (identity >= 0)).tolist()[:1]
        if len(rows) < len(clip):
            continue
        seen = [p.visibility[r] > 0 for p, r in zip(clip.people, rows, strict=True)]
        # A joint that leaves the view would take its limb out of the mask.
        steady = all(np.array_equal(frame, seen[0]) for frame in seen)
        if steady and can_be_cut_out(seen[0], skeleton):
            result.append(rows)
    return result


def _in_front(people: People, foot_px: float, nearer: dict[int, bool]) -> np.ndarray:
    """Who stands before the pasted person; an identity that once was stays so."""
    lower = people.boxes_xyxy_px[:, 3] > foot_px
    for i, identity in enumerate(people.track_ids.tolist()):
        if identity >= 0:
            lower[i] = nearer.setdefault(identity, bool(lower[i]))
    return lower


def _shield(
    clip: Clip,
    people: People,
    frame: int,
    before: np.ndarray,
    mask: Float[np.ndarray, "H W"],
    skeleton: Skeleton,
) -> Float[np.ndarray, "H W"]:
    """What the people in front show of themselves, where the pasted one would be."""
    result = np.zeros_like(mask)
    for i in np.flatnonzero(before):
        x0, y0, x1, y1 = people.boxes_xyxy_px[i].astype(int)
        seen = people.visibility[i] > HIDDEN
        if mask[y0:y1, x0:x1].any() and seen.any():
            own = person_mask(clip.images[frame], people.keypoints_px[i], seen, skeleton)
            result = np.maximum(result, own)
    return result


def _blend(below: np.ndarray, above: np.ndarray, weight: Float[np.ndarray, "H W"]) -> np.ndarray:
    share = weight[..., None]
    return np.rint(below * (1 - share) + above * share).astype(np.uint8)
