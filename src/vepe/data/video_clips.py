"""Clips of labelled video: true frames at their true times, on one square canvas.

One placement serves the whole clip. Frames without labels give context: nobody is labelled in
them, and they are no key frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from vepe.config.augmentation import AugmentationConfig
from vepe.data.clip import Clip, People
from vepe.data.images import ImageIndex, ImageRecord, UnreadableImageError
from vepe.data.sampling import ClipSampler, SamplingSettings
from vepe.data.transforms.clip_transform import ClipTransform
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class VideoClipSettings:
    """How clips of video are made.

    Attributes:
        size_px: side of the square canvas.
        frames, max_gap_s, min_gap_s, dropped, repeated: see `SamplingSettings`.
        sizes: range of a person's longer side in units of the canvas.
        motion: strength of a camera motion on top of the video's own (see `draw_motion`).
        augmentation: chances and strengths of everything else.
    """

    size_px: int = 320
    frames: int = 3
    max_gap_s: float = 0.4
    min_gap_s: float = 0.0
    dropped: float = 0.0
    repeated: float = 0.0
    sizes: tuple[float, float] = (0.15, 0.7)
    motion: float = 0.0
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def sampling(self) -> SamplingSettings:
        """The part that speaks of frames and gaps."""
        return SamplingSettings(
            self.frames, self.min_gap_s, self.max_gap_s, self.dropped, self.repeated
        )


class VideoClips:
    """A map-style data set of clips cut from labelled video; item i depends on the seed alone.

    Raises:
        VepeError: where no labelled frame has the neighbours that a clip needs.
    """

    def __init__(
        self,
        pictures: ImageIndex,
        skeleton: Skeleton,
        settings: VideoClipSettings,
        *,
        length: int,
        seed: int = 0,
    ) -> None:
        self.pictures, self.skeleton, self.settings = pictures, skeleton, settings
        self.length, self.seed = length, seed
        self.sampler = ClipSampler(
            pictures.videos(), pictures.times_s(), pictures.column("labelled"), settings.sampling()
        )
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
        """Clip `index`; any non-negative index is valid.

        Raises:
            UnreadablePictureError: where one of its pictures is missing or damaged.
        """
        rng = np.random.default_rng((self.seed, index))
        drawn = self.sampler.draw(rng)
        stills = [self.pictures[row] for row in drawn.rows.tolist()]
        keys = tuple(t for t, still in enumerate(stills) if still.labelled)
        nobody = People.empty(len(self.skeleton))
        clip = Clip(
            images=_images(stills),
            time_s=drawn.times_s,
            people=tuple(still.people if still.labelled else nobody for still in stills),
            key_indices=keys,
            background_weight=min(stills[t].background_weight for t in keys),
            name=stills[keys[0]].name,
        )
        return self.transform(clip, rng, stretched=stills[0].square_stretched)


def _images(stills: list[ImageRecord]) -> UInt8[np.ndarray, "T H W 3"]:
    """The frames, each picture decoded once. Raises UnreadablePictureError."""
    if len(stills) == 1:
        return stills[0].image()[None]
    decoded = {still.name: still for still in stills}
    pictures = {name: still.image() for name, still in decoded.items()}
    first = stills[0]
    for name, picture in pictures.items():
        if picture.shape != pictures[first.name].shape:
            raise UnreadableImageError(
                f"Pictures '{first.name}' and '{name}' in '{first.place}' are frames of one video "
                "and differ in size; make them alike."
            )
    return np.stack([pictures[still.name] for still in stills])
