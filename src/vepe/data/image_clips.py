"""Pseudo-clips: labelled images, placed on a canvas and moved by a simulated camera.

A mosaic puts several images on one canvas, because some data sets (LSP) label one person per
image. Each image moves on its own path, so that identities and time have a meaning. With one frame
per clip this is plain image augmentation. Pseudo-clips from images train a video model as in
CenterTrack (Zhou et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from vepe.config.data import ImageClipConfig
from vepe.data.clip import Clip
from vepe.data.images import ImageRecord
from vepe.data.transforms.affine import repeated
from vepe.data.transforms.clip_transform import ClipTransform
from vepe.data.transforms.mosaic import draw_layout, mosaic
from vepe.skeleton import Skeleton

DRAWS = 8
"""How often an image like the first is looked for in a mosaic."""


class ImageClips:
    """Pseudo-clips of images; clip i depends on the seed and i alone.

    Args:
        images: labelled images.
        skeleton: their skeleton.
        settings: how clips are made and varied.
        frames: T, frames per clip.
        size_px: side of the square canvas.
        seed: of everything random.
    """

    def __init__(
        self,
        images: Sequence[ImageRecord],
        skeleton: Skeleton,
        settings: ImageClipConfig,
        *,
        frames: int,
        size_px: int,
        seed: int = 0,
    ) -> None:
        self.images, self.settings = images, settings
        self.frames, self.size_px, self.seed = frames, size_px, seed
        self.transform = ClipTransform(
            settings.augmentation,
            skeleton,
            canvas_wh=(size_px, size_px),
            person_scale=settings.person_scale,
            motion=settings.motion,
        )

    def __getitem__(self, index: int) -> Clip:
        """Clip `index` >= 0.

        Raises:
            UnreadableImageError: if one of its images is missing or damaged.
        """
        rng = np.random.default_rng((self.seed, index))
        canvas_wh = (self.size_px, self.size_px)
        times_s = np.arange(self.frames) / rng.uniform(8, 30)
        regions = draw_layout(rng, self.settings.mosaic, canvas_wh)
        red, green, blue = rng.integers(0, 256, 3).tolist()
        fill = (red, green, blue)
        records = self._alike(rng, len(regions))
        placed = [
            self._placed(record, rng, times_s, region.size_wh, fill)
            for record, region in zip(records, regions, strict=True)
        ]
        clip = mosaic(placed, regions)
        if rng.random() < self.settings.augmentation.copy_paste:
            other = self._placed(self._draw(rng), rng, times_s, canvas_wh, fill)
            clip = self.transform.paste(clip, other, rng)
        return self.transform.colour(clip, rng)

    def _draw(self, rng: np.random.Generator) -> ImageRecord:
        return self.images[int(rng.integers(len(self.images)))]

    def _alike(self, rng: np.random.Generator, count: int) -> list[ImageRecord]:
        """Random images whose background is equally well labelled, if a few draws find them.

        A mosaic's background has the lowest weight of its images (`Clip.background_weight`).
        """
        records = [self._draw(rng)]
        while len(records) < count:
            for _ in range(DRAWS):
                record = self._draw(rng)
                if record.background_weight == records[0].background_weight:
                    break
            records.append(record)
        return records

    def _placed(
        self,
        record: ImageRecord,
        rng: np.random.Generator,
        times_s: Float[np.ndarray, "T"],
        size_wh: tuple[int, int],
        fill: tuple[int, int, int],
    ) -> Clip:
        """The image on a canvas of this size, placed at random."""
        return self.transform.place(
            still_clip(record, times_s),
            rng,
            canvas_wh=size_wh,
            stretched=record.square_stretched,
            fill=fill,
        )


def still_clip(record: ImageRecord, times_s: Float[np.ndarray, "T"]) -> Clip:
    """An image as a clip without motion; each person has one track id throughout."""
    people = replace(record.people, track_ids=np.arange(len(record.people)))
    return Clip(
        images=repeated(record.image(), len(times_s)),
        time_s=times_s,
        people=(people,) * len(times_s),
        key_indices=tuple(range(len(times_s))),
        background_weight=record.background_weight,
        name=record.name,
    )
