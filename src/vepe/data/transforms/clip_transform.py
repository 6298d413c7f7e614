"""What is done to a clip in training: everything drawn once a clip, pictures and labels alike.

A clip goes through transforms of `torchvision.transforms.v2` as tv_tensors (`clip_tensors`). Each
transform is a value whose parameters are drawn from the clip's generator before, so that item i of
a data set is a function of the seed and i, and so that its inverse can be asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torchvision.tv_tensors import Video

from vepe.config.augmentation import AugmentationConfig
from vepe.data.clip import Clip
from vepe.data.transforms.affine import ClipWarp, Shrink, is_repeated, shrink_factor
from vepe.data.transforms.colour import draw_colours
from vepe.data.transforms.copy_paste import paste_person
from vepe.data.transforms.cropping import in_view, without_covered
from vepe.data.transforms.limb_swing import draw_body_motion
from vepe.data.transforms.occlusion import draw_occluder
from vepe.data.transforms.placement import draw_motion, draw_placement
from vepe.data.transforms.tv_tensors import Sample, array_of, as_tv, from_tv
from vepe.skeleton import Skeleton


class ClipTransform:
    """Places a clip on a canvas, moves, covers and colours it.

    Args:
        settings: chances and strengths.
        skeleton: of the clips' labels.
        canvas_wh: size of the result in pixels.
        sizes: range of a person's longer side in units of the canvas's shorter side.
        motion: strength of the camera's motion (see `draw_motion`).
    """

    def __init__(
        self,
        settings: AugmentationConfig,
        skeleton: Skeleton,
        *,
        canvas_wh: tuple[int, int],
        sizes: tuple[float, float] = (0.3, 1.1),
        motion: float = 0.0,
    ) -> None:
        self.settings, self.skeleton, self.canvas_wh = settings, skeleton, canvas_wh
        self.sizes, self.motion = sizes, motion

    def __call__(self, clip: Clip, rng: np.random.Generator, *, stretched: bool = False) -> Clip:
        """The clip on the canvas, in new colours; T, times and key frames stay as they are."""
        return self.colour(self.place(clip, rng, stretched=stretched), rng)

    def place(
        self,
        clip: Clip,
        rng: np.random.Generator,
        *,
        canvas_wh: tuple[int, int] | None = None,
        stretched: bool = False,
        fill: tuple[int, int, int] | None = None,
    ) -> Clip:
        """The clip on a canvas: flip, scale, turn, aspect, shift, camera, limbs, occluders.

        Args:
            clip: frames of one size; a still is moved limb by limb too.
            rng: of everything.
            canvas_wh: another canvas than the transform's own, for mosaics.
            stretched: the pictures were squeezed to a square, so that their aspect is unknown.
            fill: colour of what is empty; drawn by default.
        """
        target = canvas_wh or self.canvas_wh
        if fill is None:
            red, green, blue = rng.integers(0, 256, 3).tolist()
            fill = (red, green, blue)
        matrix = self._draw_matrix(clip, rng, target, stretched)
        motion, middle = draw_motion(rng, min(target), self.motion), np.array(target) / 2
        camera = np.array([motion.at(float(time_s), middle) for time_s in clip.time_s])
        sample = as_tv(clip)
        still = len(clip) > 1 and is_repeated(clip.images)
        if still and rng.random() < self.settings.moving:
            sample, matrix = self._move_bodies(sample, matrix, rng)
        sample = ClipWarp(camera @ matrix, target, self.skeleton, fill)(sample)
        if rng.random() >= self.settings.occluders:
            placed = from_tv(sample)
            return replace(placed, people=tuple(in_view(p, target) for p in placed.people))
        free = from_tv(sample)
        placed = from_tv(draw_occluder(rng, sample["images"], camera)(sample))
        people = [
            without_covered(covered, before.visibility)
            for covered, before in zip(placed.people, free.people, strict=True)
        ]
        return replace(placed, people=tuple(in_view(p, target) for p in people))

    def _move_bodies(
        self, sample: Sample, matrix: Float[np.ndarray, "3 3"], rng: np.random.Generator
    ) -> tuple[Sample, Float[np.ndarray, "3 3"]]:
        """The sample with moving limbs, shrunk before where that saves work; the matrix left."""
        clip: Clip = sample["clip"]
        size = (clip.images.shape[2], clip.images.shape[1])
        factor = shrink_factor(size, matrix)
        if factor > 1:
            sample = Shrink(size, factor, len(clip), self.skeleton)(sample)
            matrix = matrix @ np.diag([factor, factor, 1.0])
        people, strength = from_tv(sample).people[0], self.settings.body_motion
        return draw_body_motion(rng, people, clip.time_s, self.skeleton, strength)(sample), matrix

    def _draw_matrix(
        self, clip: Clip, rng: np.random.Generator, target: tuple[int, int], stretched: bool
    ) -> Float[np.ndarray, "3 3"]:
        """One placement for the whole clip, drawn by the people of its first labelled frame."""
        around = next((p for p in clip.people if len(p)), clip.people[0])
        return draw_placement(
            rng,
            around.boxes_xyxy_px,
            (clip.images.shape[2], clip.images.shape[1]),
            target,
            stretched=stretched,
            sizes=self.sizes,
            turn_rad=self.settings.turn_rad,
            aspect=self.settings.aspect,
            flip=self.settings.flip,
        )

    def paste(self, clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
        """The clip with a person of another clip that was placed on the same canvas."""
        return paste_person(clip, other, self.skeleton, rng)

    def colour(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """The clip in other colours."""
        pictures = Video(torch.from_numpy(clip.images).permute(0, 3, 1, 2))
        changed = draw_colours(rng, len(clip), self.settings)(pictures)
        return replace(clip, images=array_of(changed).transpose(0, 2, 3, 1))
