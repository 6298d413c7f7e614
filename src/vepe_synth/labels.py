"""Exact labels of a rendered instant: keypoints, occlusion, boxes, ignore regions.

A joint lies inside the body, so the surface of its own limb does not occlude it: a keypoint is
visible if the image around it shows its own limb, no farther in front of it than the limb is thick.
It is occluded if another person, an object or another limb of the same person covers most of that
neighbourhood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.formats.annotations import Person
from vepe.skeleton import POSETRACK15
from vepe_synth.avatars import Avatar
from vepe_synth.body import body_keypoints, skin_vertices
from vepe_synth.config import SynthSettings
from vepe_synth.people_mesh import PARTS, vertex_parts
from vepe_synth.renderer import IDS_PER_PERSON, IdBuffer
from vepe_synth.view import NEAR_M, View

MIN_KEYPOINTS = 3
"""People with fewer keypoints in the image become ignore regions."""

_VERTEX_STEP = 5  # every fifth vertex is enough to estimate the visible fraction
_HEAD_INSIDE = 0.25
_GONE_SHARE = 0.01

_LIMBS = {
    "nose": ("head",),
    "head_bottom": ("head", "torso"),
    "head_top": ("head",),
    "shoulder": ("torso", "arm"),
    "elbow": ("arm", "forearm"),
    "wrist": ("forearm",),
    "hip": ("torso", "thigh"),
    "knee": ("thigh", "shin"),
    "ankle": ("shin",),
}
# Largest distance of the surface in front of the joint, and radius of its neighbourhood, metres.
_THICK_M = {
    "nose": 0.045, "head_bottom": 0.19, "head_top": 0.12, "shoulder": 0.15, "elbow": 0.10,
    "wrist": 0.08, "hip": 0.19, "knee": 0.12, "ankle": 0.11,
}  # fmt: skip
_REACH_M = {"nose": 0.012, "head_top": 0.03, "wrist": 0.025}
_OTHER_REACH_M = 0.035
_SEEN_SHARE = 0.35


@dataclass(frozen=True, eq=False)
class PosedPerson:
    """A person's pose at the labelled instant."""

    avatar: Avatar
    track_id: int
    joint_world: Float[np.ndarray, "J 4 4"]


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """The labelled people of one image, and polygons (4, 2) around people who are not labelled."""

    people: tuple[Person, ...]
    ignore_regions_px: tuple[Float[np.ndarray, "4 2"], ...]


def frame_labels(
    view: View, ids: IdBuffer, posed: Sequence[PosedPerson], settings: SynthSettings
) -> FrameLabels:
    """Labels of an instant; the person numbers in `ids` are indices into `posed`."""
    people, regions = [], []
    for number, person in enumerate(posed):
        projected = _project(view, ids, number, person)
        if projected is None:
            continue
        small = projected.box_xyxy[3] - projected.box_xyxy[1] < settings.min_person_px
        hidden = projected.visible_share < settings.min_visible_share
        if small or hidden or projected.present.sum() < MIN_KEYPOINTS:
            regions.append(_polygon(_clipped(projected.box_xyxy, view)))
        else:
            people.append(_person(projected, view, person.track_id))
    return FrameLabels(tuple(people), tuple(regions))


@dataclass(frozen=True, eq=False)
class _ProjectedPerson:
    """A person who is partly in the image; boxes enclose the whole body, not clipped."""

    keypoints_px: Float[np.ndarray, "15 2"]
    present: Bool[np.ndarray, "15"]
    visible: Bool[np.ndarray, "15"]
    box_xyxy: Float[np.ndarray, "4"]
    head_xyxy: Float[np.ndarray, "4"]
    visible_share: float
    area_px: float


def _project(
    view: View, ids: IdBuffer, number: int, person: PosedPerson
) -> _ProjectedPerson | None:
    vertices = skin_vertices(person.avatar, person.joint_world)
    points = body_keypoints(person.avatar, person.joint_world, vertices)
    pixels, depth = view.project(vertices)
    ahead = depth > NEAR_M
    if not ahead.any():
        return None
    box = _extent(pixels[ahead])
    inside = _inside(pixels, view) & ahead
    if not inside.any():
        return None
    sample = np.flatnonzero(inside)[::_VERTEX_STEP]
    columns, rows = pixels[sample].astype(int).T
    free = (ids.person[rows, columns] == number) | (ids.depth_m[rows, columns] > depth[sample])
    in_image = float(np.mean(inside))
    share = float(free.mean()) * in_image
    if share < _GONE_SHARE:
        return None
    keypoints, keypoint_depth = view.project(points)
    present = _inside(keypoints, view) & (keypoint_depth > NEAR_M)
    visible = _visible(view, ids, number, keypoints, keypoint_depth, present)
    head = _head_vertices(person.avatar)
    head = head[ahead[head]]
    seen_px = float((ids.person == number).sum())
    return _ProjectedPerson(
        keypoints_px=np.where(present[:, None], keypoints, 0.0),
        present=present,
        visible=visible,
        box_xyxy=box,
        head_xyxy=_extent(pixels[head]) if len(head) else box,
        visible_share=share,
        area_px=seen_px / max(float(free.mean()), 0.05),
    )


def _visible(
    view: View,
    ids: IdBuffer,
    number: int,
    keypoints: Float[np.ndarray, "15 2"],
    depth: Float[np.ndarray, "15"],
    present: Bool[np.ndarray, "15"],
) -> Bool[np.ndarray, "15"]:
    """Visibility of each keypoint, see the module's docstring."""
    out = np.zeros(len(present), bool)
    for k in np.flatnonzero(present):
        limbs, thick, reach = _RULES[k]
        radius = max(1.0, reach * view.focal_px / depth[k])
        x0, y0 = (int(v) for v in np.maximum(np.floor(keypoints[k] - radius), 0))
        x1, y1 = (int(v) for v in np.ceil(keypoints[k] + radius))
        around = np.s_[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        surface = ids.depth_m[around]
        own_limb = (ids.person[around] == number) & limbs[ids.part[around]]
        shown = np.count_nonzero(own_limb & (surface > depth[k] - thick))
        # Surfaces behind the joint (at the body's outline) count neither for nor against it.
        nearer = np.where(own_limb, surface <= depth[k] - thick, surface < depth[k])
        out[k] = shown > _SEEN_SHARE * (shown + np.count_nonzero(nearer))
    return out


def _person(projected: _ProjectedPerson, view: View, track_id: int) -> Person:
    box = _clipped(projected.box_xyxy, view)
    return Person(
        keypoints_px=np.round(projected.keypoints_px, 2),
        present=projected.present,
        visibility=(projected.visible & projected.present).astype(float),
        keypoint_scores=np.full(len(projected.present), np.nan),
        track_id=track_id,
        head_box_xyxy_px=np.round(_reachable(projected.head_xyxy, view), 2),
        box_xywh_px=np.round(np.concatenate([box[:2], box[2:] - box[:2]]), 2),
        extra={
            "area": round(projected.area_px, 1),
            "visible_share": round(projected.visible_share, 3),
        },
    )


def _reachable(head: Float[np.ndarray, "4"], view: View) -> Float[np.ndarray, "4"]:
    """The head box, shifted so that a part of it lies in the image; its size does not change."""
    size = np.maximum(head[2:] - head[:2], 1.0)
    frame = np.array([view.width, view.height], float)
    need = size * np.sqrt(_HEAD_INSIDE)
    low = np.clip(head[:2], need - size, frame - need)
    return np.concatenate([low, low + size])


def _clipped(box: Float[np.ndarray, "4"], view: View) -> Float[np.ndarray, "4"]:
    return np.clip(box, 0, [view.width, view.height, view.width, view.height])


def _polygon(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4 2"]:
    x0, y0, x1, y1 = np.round(box, 1)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _extent(pixels: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "4"]:
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def _inside(pixels: Float[np.ndarray, "N 2"], view: View) -> Bool[np.ndarray, "N"]:
    inside = (pixels >= 0) & (pixels < [view.width, view.height])
    return np.asarray(inside.all(axis=-1))


def _rule(keypoint: str) -> tuple[Bool[np.ndarray, "I"], float, float]:
    """Which body parts (by number) show a keypoint; the limb's thickness and radius in metres."""
    side, _, joint = keypoint.partition("_")
    joint = joint if side in ("left", "right") else keypoint
    shows = np.zeros(IDS_PER_PERSON, bool)
    for name in _LIMBS[joint]:
        shows[PARTS.index(name if name in ("head", "torso") else f"{side}_{name}")] = True
    return shows, _THICK_M[joint], _REACH_M.get(joint, _OTHER_REACH_M)


def _head_vertices(avatar: Avatar) -> Int[np.ndarray, "H"]:
    return np.flatnonzero(vertex_parts(avatar) == PARTS.index("head"))


_RULES = tuple(_rule(name) for name in POSETRACK15.keypoints)
