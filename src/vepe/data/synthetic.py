"""A data set of made-up clips: textured figures that walk, wave, turn, cross and hide each other.

Made in code with NumPy and OpenCV alone, for tests and for the temporal and identity parts, whose
labels (exact identities through occlusion) are scarce in real data. Ours; no source but code.
Dimension letters: T frames, H W picture size, N people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8, UInt16

from vepe.data.clip import Clip, People
from vepe.data.synthetic_actions import Plan, perform, random_plan
from vepe.data.synthetic_appearance import random_appearance
from vepe.data.synthetic_figures import BACKGROUND, FOREGROUND, Figure, Sheet, draw_figure
from vepe.data.synthetic_labels import label_frame
from vepe.data.synthetic_motion import JOINT_INDEX, JOINTS, Body
from vepe.data.synthetic_scene import Camera, Post, paint_canvas, random_camera, random_post
from vepe.errors import VepeError
from vepe.skeleton import POSETRACK15, Skeleton

MAX_PEOPLE = 100
_BLUR_STEPS = 3
_NEAREST_M = 1.0


@dataclass(frozen=True, kw_only=True)
class SyntheticClip(Clip):
    """A made-up clip, with what only its maker knows.

    Attributes:
        head_boxes_xyxy_px: (N, 4) a frame, in the order of `people`.
        owners: (T, H, W) which part of which figure is seen in every pixel; see
            `synthetic_figures.owner_code`.
    """

    head_boxes_xyxy_px: tuple[Float[np.ndarray, "N 4"], ...]
    owners: UInt16[np.ndarray, "T H W"]


@dataclass(frozen=True)
class SyntheticClips:
    """A map-style data set of `num_clips` made-up clips; clip i is the same on every call.

    Attributes:
        num_clips: how many clips there are.
        num_frames: frames a clip.
        height, width: size of the pictures in pixels.
        people: fewest and most figures in a clip.
        fps: frames a second of made-up time.
        seed: another seed makes other clips.
        skeleton: any whose keypoints are among `synthetic_motion.JOINTS`.
        crossing: True lets two people cross, one in front of the other, in every clip; False in
            none; None in half of them.
        moving_camera, motion_blur, sensor_noise, posts: share of the clips, 0..1, that have a
            moving camera, blur from an open shutter, noise, and posts in the foreground.

    Raises:
        VepeError: where a number is out of range or the skeleton has other keypoints.
    """

    num_clips: int
    num_frames: int
    height: int
    width: int
    people: tuple[int, int] = (1, 5)
    fps: float = 25.0
    seed: int = 0
    skeleton: Skeleton = POSETRACK15
    crossing: bool | None = None
    moving_camera: float = 0.5
    motion_blur: float = 0.2
    sensor_noise: float = 0.5
    posts: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.people
        if not 0 <= low <= high <= MAX_PEOPLE:
            raise VepeError(
                f"Synthetic clips cannot hold {low} to {high} people; give two numbers in order, "
                f"from 0 to {MAX_PEOPLE}."
            )
        if min(self.num_frames, self.num_clips, self.height, self.width) < 1 or self.fps <= 0:
            raise VepeError("Synthetic clips need at least one clip, frame and pixel, and fps > 0.")
        unknown = [name for name in self.skeleton.keypoints if name not in JOINTS]
        if unknown:
            raise VepeError(
                f"Made-up figures have no keypoint '{unknown[0]}'; use posetrack15, coco17 or "
                "crowdpose14."
            )

    def __len__(self) -> int:
        return self.num_clips

    def __iter__(self) -> Iterator[SyntheticClip]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> SyntheticClip:
        if not 0 <= index < self.num_clips:
            raise IndexError(f"clip {index} of {self.num_clips}")
        rng = np.random.default_rng((self.seed, index))
        blurred = rng.random() < self.motion_blur
        time_s = np.arange(self.num_frames) / self.fps
        shutter_s = rng.uniform(0.3, 0.9) / self.fps if blurred else 0.0
        steps = _BLUR_STEPS if blurred else 1
        moments = (time_s[:, None] + shutter_s * (np.arange(steps) - steps // 2) / steps).ravel()
        scene = _make_scene(rng, self, moments)
        images, owners = _render(scene, self.num_frames, steps)
        _finish(rng, images, noisy=rng.random() < self.sensor_noise)
        labels = [
            label_frame(
                scene.figures, owners[t], t * steps + steps // 2, scene.depth_rank(t), self.skeleton
            )
            for t in range(self.num_frames)
        ]
        people: tuple[People, ...] = tuple(label for label, _ in labels)
        return SyntheticClip(
            images=images,
            time_s=time_s,
            people=people,
            key_indices=tuple(range(self.num_frames)),
            background_weight=1.0,
            name=f"synthetic-{self.seed}-{index}",
            head_boxes_xyxy_px=tuple(heads for _, heads in labels),
            owners=owners,
        )


@dataclass(frozen=True)
class _Scene:
    camera: Camera
    canvas: UInt8[np.ndarray, "h w 3"]
    figures: list[Figure]
    posts: list[Post]
    shadows: float
    steps: int

    def depth_rank(self, frame: int) -> np.ndarray:
        """Rank of every figure in a frame; a larger rank is nearer and drawn later."""
        middle = frame * self.steps + self.steps // 2
        depths = [f.depths_m[middle, JOINT_INDEX["pelvis"]] for f in self.figures]
        rank = np.zeros(len(depths), np.int64)
        rank[np.argsort(-np.asarray(depths), kind="stable")] = np.arange(len(depths))
        return rank


def _make_scene(rng: np.random.Generator, clips: SyntheticClips, moments: np.ndarray) -> _Scene:
    """Draws camera, background, people and what they do."""
    size = (clips.height, clips.width)
    camera, distance = random_camera(rng, moments, size, rng.random() < clips.moving_camera)
    canvas = paint_canvas(rng, camera)
    count = int(rng.integers(clips.people[0], clips.people[1] + 1))
    crosses = rng.random() < 0.5 if clips.crossing is None else clips.crossing
    figures = []
    for plan in _plans(rng, camera, distance, count, crosses):
        body, look = Body.random(rng), random_appearance(rng)
        motion = perform(rng, body, plan, moments)
        near = -motion.joints_m[..., 2].max()
        if near < _NEAREST_M:
            motion = motion.shifted(np.array([0.0, 0.0, near - _NEAREST_M]))
        figures.append(Figure.of(body, look, motion, camera))
    posts = []
    if rng.random() < clips.posts:
        half_view = distance * size[1] / 2 / float(camera.focal_px.mean())
        posts = [random_post(rng, distance, half_view) for _ in range(int(rng.integers(1, 3)))]
    shadows = float(rng.uniform(0.15, 0.6)) if rng.random() < 0.5 else 0.0
    return _Scene(camera, canvas, figures, posts, shadows, len(moments) // clips.num_frames)


def _plans(
    rng: np.random.Generator, camera: Camera, distance: float, count: int, crosses: bool
) -> list[Plan]:
    """Where everybody is in the middle of the clip, and what they do."""
    half_view = camera.size[1] / 2 / float(camera.focal_px.mean())
    plans: list[Plan] = []
    if crosses and count >= 2:
        bearing, depth = rng.uniform(-0.5, 0.5) * half_view, distance * rng.uniform(0.6, 1.3)
        direction = rng.choice([-1.0, 1.0])
        for sign, z in ((1, depth), (-1, depth + rng.uniform(0.6, 1.2))):
            yaw = sign * direction * np.pi / 2 + rng.normal(0, 0.15)
            plans.append(Plan("walk", (bearing * z, -z), float(yaw), 0.0))
    while len(plans) < count:
        for _ in range(20):
            z = distance * (
                rng.uniform(0.35, 0.6) if rng.random() < 0.15 else rng.uniform(0.6, 1.8)
            )
            x = rng.uniform(-0.9, 0.9) * half_view * z
            if all(np.hypot(x - p.middle_m[0], -z - p.middle_m[1]) > 0.6 for p in plans):
                break
        plans.append(random_plan(rng, (float(x), float(-z))))
    return plans


def _render(
    scene: _Scene, num_frames: int, steps: int
) -> tuple[UInt8[np.ndarray, "T H W 3"], UInt16[np.ndarray, "T H W"]]:
    height, width = scene.camera.size
    images = np.empty((num_frames, height, width, 3), np.uint8)
    owners = np.zeros((num_frames, height, width), np.uint16)
    for t in range(num_frames):
        if steps == 1:
            images[t] = _render_moment(scene, t, t, owners[t])
            continue
        total = np.zeros((height, width, 3), np.float32)
        for step in range(steps):
            middle = step == steps // 2
            map_ = owners[t] if middle else np.zeros_like(owners[t])
            total += _render_moment(scene, t, t * steps + step, map_)
        images[t] = total / steps
    return images, owners


def _render_moment(
    scene: _Scene, frame: int, moment: int, owners: UInt16[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """One sharp picture; fills the owner map."""
    height, width = scene.camera.size
    image = cv2.warpPerspective(
        scene.canvas,
        scene.camera.canvas_to_picture(moment),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    owners[:] = BACKGROUND
    sheet = Sheet(image, owners)
    if scene.shadows:
        for figure in scene.figures:
            _draw_shadow(sheet, scene, figure, moment)
    posts = [(post.depth_m, -1 - i) for i, post in enumerate(scene.posts)]
    rank = scene.depth_rank(frame)
    people = [
        (float(figure.depths_m[moment, JOINT_INDEX["pelvis"]]), i)
        for i, figure in enumerate(scene.figures)
    ]
    people.sort(key=lambda item: rank[item[1]])
    for _, index in sorted(people + posts, key=lambda item: -item[0]):
        if index >= 0:
            draw_figure(sheet, scene.figures[index], moment, index)
        else:
            _draw_post(sheet, scene, scene.posts[-1 - index], moment)
    return sheet.image


def _draw_post(sheet: Sheet, scene: _Scene, post: Post, moment: int) -> None:
    camera = scene.camera
    every = np.broadcast_to(post.corners_m, (len(camera.focal_px), 4, 3))
    corners, _ = camera.project(every)
    a, b, _, d = corners[moment]
    sheet.paste(post.texture, corners[moment], a, b - a, d - a, FOREGROUND)


def _draw_shadow(sheet: Sheet, scene: _Scene, figure: Figure, moment: int) -> None:
    """Darkens the ground between the feet."""
    ankles = [figure.joint_px(moment, f"{side}_heel") for side in ("left", "right")]
    radius = 0.26 * float(figure.scale[moment])
    centre, apart = np.mean(ankles, axis=0), float(np.abs(ankles[0] - ankles[1]).max())
    sheet.darken(centre, (radius + 0.4 * apart, 0.3 * radius + 0.1 * apart), scene.shadows)


def _finish(rng: np.random.Generator, images: UInt8[np.ndarray, "T H W 3"], noisy: bool) -> None:
    """Exposure, contrast and sensor noise, in place."""
    tone = np.arange(256) / 255
    curve = np.clip(rng.uniform(0.75, 1.15) * tone ** rng.uniform(0.75, 1.35), 0, 1)
    table = np.rint(255 * curve).astype(np.uint8)
    strength = rng.uniform(2, 12)
    height, width = images.shape[1:3]
    if noisy:
        grain = rng.normal(0, strength, (height + 16, width + 16, 3)).astype(np.int16)
    for image in images:
        cv2.LUT(image, table, dst=image)
        if noisy:
            y, x = rng.integers(0, 17, 2)
            cv2.add(image, grain[y : y + height, x : x + width], dst=image, dtype=cv2.CV_8U)
