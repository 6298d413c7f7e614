"""Pseudo-clips from stills: labelled pictures, placed on a canvas and moved smoothly.

Several pictures make one multi-person clip (mosaic), because a set such as LSP labels one person a
picture. Every picture moves on its own path, and its people move their limbs, so that identities
and time mean something. With one frame a clip it is plain augmentation of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from vepe.config.augmentation import AugmentationConfig
from vepe.data.clip import Clip
from vepe.data.images import ImageRecord
from vepe.data.transforms.affine import repeated
from vepe.data.transforms.clip_transform import ClipTransform
from vepe.data.transforms.mosaic import draw_layout, mosaic
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class ImageClipSettings:
    """How clips are made.

    Attributes:
        size_px: side of the square canvas.
        frames: T.
        layouts: chances of one, two, four and nine pictures on a canvas.
        motion: strength of the camera's motion (see `draw_motion`).
        sizes: range of a person's longer side in units of the region's shorter side.
        augmentation: chances and strengths of everything else.
    """

    size_px: int = 320
    frames: int = 1
    layouts: tuple[float, float, float, float] = (0.4, 0.25, 0.35, 0.0)
    motion: float = 1.0
    sizes: tuple[float, float] = (0.3, 1.1)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)


class ImageClips:
    """A map-style data set of clips made from stills; item i is the same for the same seed.

    Args:
        stills: labelled pictures.
        skeleton: the skeleton their labels are in.
        settings: how clips are made.
        length: clips an epoch.
        seed: of everything random.
    """

    def __init__(
        self,
        stills: Sequence[ImageRecord],
        skeleton: Skeleton,
        settings: ImageClipSettings,
        *,
        length: int,
        seed: int = 0,
    ) -> None:
        self.stills, self.skeleton, self.settings = stills, skeleton, settings
        self.length, self.seed = length, seed
        self.transform = ClipTransform(
            settings.augmentation,
            skeleton,
            canvas_wh=(settings.size_px, settings.size_px),
            sizes=settings.sizes,
            motion=settings.motion,
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`; any non-negative index is valid, so that a run never repeats itself."""
        rng = np.random.default_rng((self.seed, index))
        s = self.settings
        times = np.arange(s.frames) / rng.uniform(8, 30)
        regions = draw_layout(rng, s.layouts, (s.size_px, s.size_px))
        fill = _colour(rng)
        placed = [self._placed(rng, times, region.size_wh, fill) for region in regions]
        clip = mosaic(placed, regions)
        if rng.random() < s.augmentation.copy_paste:
            other = self._placed(rng, times, (s.size_px, s.size_px), fill)
            clip = self.transform.paste(clip, other, rng)
        return self.transform.colour(clip, rng)

    def _placed(
        self,
        rng: np.random.Generator,
        times: Float[np.ndarray, "T"],
        size_wh: tuple[int, int],
        fill: tuple[int, int, int],
    ) -> Clip:
        """A random still on a canvas of this size."""
        still = self.stills[int(rng.integers(len(self.stills)))]
        return self.transform.place(
            still_clip(still, times),
            rng,
            canvas_wh=size_wh,
            stretched=still.square_stretched,
            fill=fill,
        )


def still_clip(still: ImageRecord, times: Float[np.ndarray, "T"]) -> Clip:
    """A still as a clip in which nothing moves: its people have one identity throughout."""
    people = replace(still.people, track_ids=np.arange(len(still.people)))
    return Clip(
        images=repeated(still.image(), len(times)),
        time_s=times,
        people=(people,) * len(times),
        key_indices=tuple(range(len(times))),
        background_weight=still.background_weight,
        name=still.name,
    )


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue
