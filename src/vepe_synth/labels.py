"""Exact labels of a rendered instant: keypoints, what hides them, boxes, ignore regions.

A keypoint lies inside a body, so its own flesh does not hide it: it counts as visible where the
picture around it shows the limb it belongs to, no farther in front of it than that limb is thick.
Another person, a thing, or another limb of the same person in front hides it, where they fill most
of that place.
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
from vepe_synth.renderer import IDS_PER_PERSON, IdPicture
from vepe_synth.view import NEAR_M, View

MIN_KEYPOINTS = 3
"""People with fewer keypoints in the picture become ignore regions."""

_VERTEX_STEP = 5  # every fifth vertex tells how much of a person is hidden
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
# How far the surface may lie before the joint, and how wide around it is looked, in metres.
_THICK_M = {
    "nose": 0.045, "head_bottom": 0.19, "head_top": 0.12, "shoulder": 0.15, "elbow": 0.10,
    "wrist": 0.08, "hip": 0.19, "knee": 0.12, "ankle": 0.11,
}  # fmt: skip
_REACH_M = {"nose": 0.012, "head_top": 0.03, "wrist": 0.025}
_OTHER_REACH_M = 0.035
_SEEN_SHARE = 0.35


@dataclass(frozen=True, eq=False)
class Actor:
    """One person at the labelled instant."""

    avatar: Avatar
    track_id: int
    joint_world: Float[np.ndarray, "J 4 4"]


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """The labelled people of one picture, and polygons (4, 2) where people are not labelled."""

    people: tuple[Person, ...]
    ignore_regions_px: tuple[Float[np.ndarray, "4 2"], ...]


def frame_labels(
    view: View, ids: IdPicture, actors: Sequence[Actor], settings: SynthSettings
) -> FrameLabels:
    """What is to be said of an instant: `ids` is its picture of who is where, in actors' order."""
    people, regions = [], []
    for number, actor in enumerate(actors):
        found = _look(view, ids, number, actor)
        if found is None:
            continue
        small = found.box_xyxy[3] - found.box_xyxy[1] < settings.min_person_px
        hidden = found.visible_share < settings.min_visible_share
        if small or hidden or found.present.sum() < MIN_KEYPOINTS:
            regions.append(_polygon(_clipped(found.box_xyxy, view)))
        else:
            people.append(_person(found, view, actor.track_id))
    return FrameLabels(tuple(people), tuple(regions))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A person of whom something is in the picture; boxes are of the whole body, unclipped."""

    keypoints_px: Float[np.ndarray, "15 2"]
    present: Bool[np.ndarray, "15"]
    visible: Bool[np.ndarray, "15"]
    box_xyxy: Float[np.ndarray, "4"]
    head_xyxy: Float[np.ndarray, "4"]
    visible_share: float
    area_px: float


def _look(view: View, ids: IdPicture, number: int, actor: Actor) -> _Seen | None:
    vertices = skin_vertices(actor.avatar, actor.joint_world)
    points = body_keypoints(actor.avatar, actor.joint_world, vertices)
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
    in_picture = float(np.mean(inside))
    share = float(free.mean()) * in_picture
    if share < _GONE_SHARE:
        return None
    keypoints, keypoint_depth = view.project(points)
    present = _inside(keypoints, view) & (keypoint_depth > NEAR_M)
    visible = _visible(view, ids, number, keypoints, keypoint_depth, present)
    head = _head_vertices(actor.avatar)
    head = head[ahead[head]]
    seen_px = float((ids.person == number).sum())
    return _Seen(
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
    ids: IdPicture,
    number: int,
    keypoints: Float[np.ndarray, "15 2"],
    depth: Float[np.ndarray, "15"],
    present: Bool[np.ndarray, "15"],
) -> Bool[np.ndarray, "15"]:
    """Whether the limb of each keypoint is what the picture shows around it."""
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
        # What lies behind the joint (at the body's outline) neither shows nor hides it.
        nearer = np.where(own_limb, surface <= depth[k] - thick, surface < depth[k])
        out[k] = shown > _SEEN_SHARE * (shown + np.count_nonzero(nearer))
    return out


def _person(found: _Seen, view: View, track_id: int) -> Person:
    box = _clipped(found.box_xyxy, view)
    return Person(
        keypoints_px=np.round(found.keypoints_px, 2),
        present=found.present,
        visibility=(found.visible & found.present).astype(float),
        keypoint_scores=np.full(len(found.present), np.nan),
        track_id=track_id,
        head_box_xyxy_px=np.round(_reachable(found.head_xyxy, view), 2),
        box_xywh_px=np.round(np.concatenate([box[:2], box[2:] - box[:2]]), 2),
        extra={
            "area": round(found.area_px, 1),
            "visible_share": round(found.visible_share, 3),
        },
    )


def _reachable(head: Float[np.ndarray, "4"], view: View) -> Float[np.ndarray, "4"]:
    """A head box of the same size, moved so that a part of it lies in the picture."""
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
    """Whether a part shows the keypoint, by the part's number; how thick and wide it is there."""
    side, _, joint = keypoint.partition("_")
    joint = joint if side in ("left", "right") else keypoint
    shows = np.zeros(IDS_PER_PERSON, bool)
    for name in _LIMBS[joint]:
        shows[PARTS.index(name if name in ("head", "torso") else f"{side}_{name}")] = True
    return shows, _THICK_M[joint], _REACH_M.get(joint, _OTHER_REACH_M)


def _head_vertices(avatar: Avatar) -> Int[np.ndarray, "H"]:
    return np.flatnonzero(vertex_parts(avatar) == PARTS.index("head"))


_RULES = tuple(_rule(name) for name in POSETRACK15.keypoints)
