"""One synthetic video: planned from settings, seed and index, then rendered frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from vepe_synth.avatars import AvatarLibrary
from vepe_synth.background import plan_stage
from vepe_synth.camera import CameraPath, plan_camera
from vepe_synth.clutter import plan_occluders
from vepe_synth.config import SynthSettings
from vepe_synth.labels import FrameLabels, PosedPerson, frame_labels
from vepe_synth.renderer import Renderer
from vepe_synth.scene import Scene, crowd_of, plan_scene
from vepe_synth.sensor import Sensor, expose, random_sensor
from vepe_synth.stage import Stage
from vepe_synth.textures import palette

SplitName = Literal["train", "val"]
SPLITS: tuple[SplitName, ...] = ("train", "val")
MAX_SUBFRAMES = 6
_PX_PER_SUBFRAME = 4.0
_NOISE = 7  # seed suffix of a frame's noise


@dataclass(frozen=True, eq=False)
class VideoPlan:
    """Everything that a video shows.

    Attributes:
        settings: size, frame rate and label thresholds.
        scene, camera, stage, sensor: people, camera path, surroundings and sensor.
        shutter: exposure time as a fraction of the frame time; 0 disables motion blur.
        tints: (P, 3) colour factors of the people.
        seeds: seed of the noise that is drawn while rendering.
    """

    settings: SynthSettings
    scene: Scene
    camera: CameraPath
    stage: Stage
    sensor: Sensor
    shutter: float
    tints: Float[np.ndarray, "P 3"]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """An image (H, W, 3) uint8 RGB, its timestamp and its labels."""

    image: UInt8[np.ndarray, "H W 3"]
    time_s: float
    labels: FrameLabels


def plan_video(
    settings: SynthSettings,
    library: AvatarLibrary,
    *,
    seed: int,
    split: SplitName,
    index: int,
    backgrounds: Sequence[Path] = (),
) -> VideoPlan:
    """Plans the video with this index; depends only on the arguments.

    Raises:
        VepeError: if an avatar or a background cannot be read.
    """
    seeds = (seed, SPLITS.index(split), index)
    rngs = [np.random.default_rng((*seeds, part)) for part in range(6)]
    duration_s = settings.frames / settings.fps
    scene = plan_scene(rngs[0], library, settings.people, duration_s)
    crowd = crowd_of(scene)
    camera = plan_camera(rngs[1], crowd, settings.width, settings.height)
    middle = camera.at(duration_s / 2)
    textures = palette(rngs[3])
    has_occluders = rngs[2].random() < settings.occluder_share
    occluders = plan_occluders(rngs[2], textures, crowd, middle) if has_occluders else []
    stage = plan_stage(rngs[3], textures, scene, crowd, middle, backgrounds, occluders)
    sensor = random_sensor(rngs[4])
    blurred = rngs[5].random() < settings.blur_share
    shutter = float(rngs[5].uniform(0.3, 1.0)) if blurred else 0.0
    tints = rngs[5].uniform(0.75, 1.1, (len(scene.people), 1)) * rngs[5].uniform(
        0.9, 1.08, (len(scene.people), 3)
    )
    return VideoPlan(settings, scene, camera, stage, sensor, shutter, tints, seeds)


def render_video(plan: VideoPlan, renderer: Renderer) -> Iterator[RenderedFrame]:
    """Renders the frames in order; the renderer must have the plan's size."""
    people = plan.scene.people
    renderer.load(plan.stage, [p.avatar for p in people], plan.tints)
    for i in range(plan.settings.frames):
        time_s = i / plan.settings.fps
        joints = [p.joint_world(time_s) for p in people]
        view = plan.camera.at(time_s)
        renderer.pose(view, joints)
        ids = renderer.ids()
        posed = [PosedPerson(p.avatar, p.track_id, j) for p, j in zip(people, joints, strict=True)]
        labels = frame_labels(view, ids, posed, plan.settings)
        count = _subframes(plan, time_s)
        image = (
            renderer.colour()[..., :3] if count == 1 else _blurred(plan, renderer, time_s, count)
        )
        noise = np.random.default_rng((*plan.seeds, _NOISE, i))
        yield RenderedFrame(expose(plan.sensor, image, noise), time_s, labels)


def _blurred(
    plan: VideoPlan, renderer: Renderer, time_s: float, count: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Motion blur: the mean of `count` instants around `time_s`."""
    total = np.zeros((plan.settings.height, plan.settings.width, 3), np.uint16)
    for i, when in enumerate(_instants(plan, time_s, count)):
        joints = [p.joint_world(when) for p in plan.scene.people]
        renderer.pose(plan.camera.at(when), joints, keep_shadows=i > 0)
        total += renderer.colour()[..., :3]
    return (total // count).astype(np.uint8)


def _instants(plan: VideoPlan, time_s: float, count: int) -> Float[np.ndarray, "S"]:
    open_s = plan.shutter / plan.settings.fps
    return time_s + open_s * ((np.arange(count) + 0.5) / count - 0.5)


def _subframes(plan: VideoPlan, time_s: float) -> int:
    """Number of instants to average: by how far joints move while the shutter is open."""
    if plan.shutter == 0:
        return 1
    open_s = plan.shutter / plan.settings.fps
    ends = []
    for when in (time_s - open_s / 2, time_s + open_s / 2):
        view = plan.camera.at(when)
        joints = np.concatenate([p.joint_world(when)[:, :3, 3] for p in plan.scene.people])
        ends.append(view.project(joints)[0])
    low, high = np.array([0, 0]), np.array([plan.settings.width, plan.settings.height])
    inside = ((ends[0] > low) & (ends[0] < high)).all(axis=1)
    if not inside.any():
        return 1
    moved = np.percentile(np.linalg.norm(ends[1] - ends[0], axis=1)[inside], 95)
    return int(np.clip(np.ceil(moved / _PX_PER_SUBFRAME), 1, MAX_SUBFRAMES))
