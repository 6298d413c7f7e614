"""One synthetic video: planned from settings, seed and number alone, then filmed frame by frame."""

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
from vepe_synth.config import SynthSettings
from vepe_synth.crowd import crowd_of
from vepe_synth.labels import Actor, FrameLabels, frame_labels
from vepe_synth.occluders import plan_occluders
from vepe_synth.renderer import Renderer
from vepe_synth.scene import Performance, plan_performance
from vepe_synth.sensor import Sensor, expose, random_sensor
from vepe_synth.surroundings import Stage
from vepe_synth.textures import palette

SplitName = Literal["train", "val"]
SPLITS: tuple[SplitName, ...] = ("train", "val")
MAX_SUBFRAMES = 6
_PX_PER_SUBFRAME = 4.0
_NOISE = 7  # number of the generator of a frame's noise


@dataclass(frozen=True, eq=False)
class Film:
    """Everything that a video will show.

    `shutter` is the share of a frame's time for which it is exposed; 0 for no motion blur.
    `seeds` start the generators of everything random that is left to filming.
    """

    settings: SynthSettings
    performance: Performance
    camera: CameraPath
    stage: Stage
    sensor: Sensor
    shutter: float
    tints: Float[np.ndarray, "P 3"]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FilmedFrame:
    """A picture (H, W, 3) uint8 RGB, its timestamp and its labels."""

    image: UInt8[np.ndarray, "H W 3"]
    time_s: float
    labels: FrameLabels


def plan_film(
    settings: SynthSettings,
    library: AvatarLibrary,
    *,
    seed: int,
    split: SplitName,
    index: int,
    backgrounds: Sequence[Path] = (),
) -> Film:
    """The film with this number: a function of the arguments and nothing else.

    Raises:
        VepeError: where an avatar or a background cannot be read.
    """
    seeds = (seed, SPLITS.index(split), index)
    rngs = [np.random.default_rng((*seeds, part)) for part in range(6)]
    duration_s = settings.frames / settings.fps
    performance = plan_performance(rngs[0], library, settings.people, duration_s)
    crowd = crowd_of(performance)
    camera = plan_camera(rngs[1], crowd, settings.width, settings.height)
    middle = camera.at(duration_s / 2)
    pictures = palette(rngs[3])
    wanted = rngs[2].random() < settings.occluder_share
    occluders = plan_occluders(rngs[2], pictures, crowd, middle) if wanted else []
    stage = plan_stage(rngs[3], pictures, performance, crowd, middle, backgrounds, occluders)
    sensor = random_sensor(rngs[4])
    blurred = rngs[5].random() < settings.blur_share
    shutter = float(rngs[5].uniform(0.3, 1.0)) if blurred else 0.0
    tints = rngs[5].uniform(0.75, 1.1, (len(performance.performers), 1)) * rngs[5].uniform(
        0.9, 1.08, (len(performance.performers), 3)
    )
    return Film(settings, performance, camera, stage, sensor, shutter, tints, seeds)


def shoot(film: Film, renderer: Renderer) -> Iterator[FilmedFrame]:
    """The frames of a film, in order; the renderer must have the film's size."""
    performers = film.performance.performers
    renderer.load(film.stage, [p.avatar for p in performers], film.tints)
    for i in range(film.settings.frames):
        time_s = i / film.settings.fps
        joints = [p.joint_world(time_s) for p in performers]
        view = film.camera.at(time_s)
        renderer.pose(view, joints)
        ids = renderer.ids()
        actors = [Actor(p.avatar, p.track_id, j) for p, j in zip(performers, joints, strict=True)]
        labels = frame_labels(view, ids, actors, film.settings)
        count = _subframes(film, time_s)
        picture = (
            renderer.colour()[..., :3] if count == 1 else _blurred(film, renderer, time_s, count)
        )
        noise = np.random.default_rng((*film.seeds, _NOISE, i))
        yield FilmedFrame(expose(film.sensor, picture, noise), time_s, labels)


def _blurred(
    film: Film, renderer: Renderer, time_s: float, count: int
) -> UInt8[np.ndarray, "H W 3"]:
    """The mean of `count` instants around `time_s`."""
    total = np.zeros((film.settings.height, film.settings.width, 3), np.uint16)
    for i, when in enumerate(_instants(film, time_s, count)):
        joints = [p.joint_world(when) for p in film.performance.performers]
        renderer.pose(film.camera.at(when), joints, keep_shadows=i > 0)
        total += renderer.colour()[..., :3]
    return (total // count).astype(np.uint8)


def _instants(film: Film, time_s: float, count: int) -> Float[np.ndarray, "S"]:
    open_s = film.shutter / film.settings.fps
    return time_s + open_s * ((np.arange(count) + 0.5) / count - 0.5)


def _subframes(film: Film, time_s: float) -> int:
    """How many instants a frame needs: by how far joints move while the shutter is open."""
    if film.shutter == 0:
        return 1
    open_s = film.shutter / film.settings.fps
    ends = []
    for when in (time_s - open_s / 2, time_s + open_s / 2):
        view = film.camera.at(when)
        joints = np.concatenate(
            [p.joint_world(when)[:, :3, 3] for p in film.performance.performers]
        )
        ends.append(view.project(joints)[0])
    low, high = np.array([0, 0]), np.array([film.settings.width, film.settings.height])
    inside = ((ends[0] > low) & (ends[0] < high)).all(axis=1)
    if not inside.any():
        return 1
    moved = np.percentile(np.linalg.norm(ends[1] - ends[0], axis=1)[inside], 95)
    return int(np.clip(np.ceil(moved / _PX_PER_SUBFRAME), 1, MAX_SUBFRAMES))
