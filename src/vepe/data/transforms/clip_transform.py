"""The augmentation of a clip in order: placement and camera motion, occluders, crop, colour.

Parameters are drawn once per clip from the clip's generator, before they are applied. So clip i of
a data set is a function of the seed and i.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torchvision.tv_tensors import Video

from vepe.config.augmentation import AugmentationConfig
from vepe.data.clip import Clip
from vepe.data.transforms.affine import ClipWarp, draw_motion, draw_placement
from vepe.data.transforms.colour import draw_colours
from vepe.data.transforms.copy_paste import paste_person
from vepe.data.transforms.cropping import in_view, without_covered
from vepe.data.transforms.occlusion import draw_occluder
from vepe.data.transforms.tv_tensors import array_of, as_tv, from_tv
from vepe.skeleton import Skeleton


class ClipTransform:
    """Places a clip on a canvas, moves, covers and colours it.

    Args:
        settings: probabilities and strengths.
        skeleton: of the clips' labels.
        canvas_wh: width and height of the result in pixels.
        person_scale: smallest and largest longer side of a person, relative to the canvas's
            shorter side.
        motion: strength of the camera motion (see `draw_motion`).
    """

    def __init__(
        self,
        settings: AugmentationConfig,
        skeleton: Skeleton,
        *,
        canvas_wh: tuple[int, int],
        person_scale: tuple[float, float] = (0.3, 1.1),
        motion: float = 0.0,
    ) -> None:
        self.settings, self.skeleton, self.canvas_wh = settings, skeleton, canvas_wh
        self.person_scale, self.motion = person_scale, motion

    def __call__(self, clip: Clip, rng: np.random.Generator, *, stretched: bool = False) -> Clip:
        """The clip on the canvas, in new colours; T, times and key frames do not change."""
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
        """The clip on a canvas: flip, scale, rotation, aspect, shift, camera motion, occluders.

        Args:
            clip: frames of one size.
            rng: source of randomness.
            canvas_wh: another canvas than the transform's own, for mosaics.
            stretched: the images were resized to squares, so their aspect is unknown.
            fill: RGB colour of what is empty; random by default.
        """
        canvas = canvas_wh or self.canvas_wh
        if fill is None:
            red, green, blue = rng.integers(0, 256, 3).tolist()
            fill = (red, green, blue)
        # One placement for the whole clip, drawn from the people of the first labelled frame.
        labelled = next((people for people in clip.people if len(people)), clip.people[0])
        matrix = draw_placement(
            rng,
            labelled.boxes_xyxy_px,
            (clip.images.shape[2], clip.images.shape[1]),
            canvas,
            stretched=stretched,
            person_scale=self.person_scale,
            turn_rad=self.settings.turn_rad,
            aspect=self.settings.aspect,
            flip=self.settings.flip,
        )
        motion, centre = draw_motion(rng, min(canvas), self.motion), np.array(canvas) / 2
        camera = np.array([motion.at(float(time_s), centre) for time_s in clip.time_s])  # (T, 3, 3)
        sample = ClipWarp(camera @ matrix, canvas, self.skeleton, fill)(as_tv(clip))
        placed = from_tv(sample)
        if rng.random() < self.settings.occluders:
            covered = from_tv(draw_occluder(rng, sample["images"], camera)(sample))
            people = [
                without_covered(after, before.visibility)
                for after, before in zip(covered.people, placed.people, strict=True)
            ]
            placed = replace(covered, people=tuple(people))
        return replace(placed, people=tuple(in_view(p, canvas) for p in placed.people))

    def paste(self, clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
        """The clip with a person of another clip that was placed on the same canvas."""
        return paste_person(clip, other, self.skeleton, rng)

    def colour(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """The clip in other colours."""
        images = Video(torch.from_numpy(clip.images).permute(0, 3, 1, 2))  # (T, 3, H, W)
        coloured = draw_colours(rng, len(clip), self.settings)(images)
        return replace(clip, images=array_of(coloured).transpose(0, 2, 3, 1))
