"""Clips of labelled video: frames around a labelled one at their true times, on a square canvas.

Gaps between frames are drawn in seconds, so that slow and fast cameras are treated alike; the
labelled frame may be any frame of the clip; frames may be dropped or repeated, as happens in
streams. One placement on the canvas serves the whole clip. Unlabelled frames give context: they
have no people and are no key frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.config.data import VideoClipConfig
from vepe.data.clip import Clip, People
from vepe.data.images import ImageIndex, ImageRecord, UnreadableImageError
from vepe.data.transforms.clip_transform import ClipTransform
from vepe.errors import VepeError
from vepe.skeleton import Skeleton

_SLACK_S = 1e-6
"""Tolerance for decimal times: 0.04 + 0.04 may be slightly less than 0.08."""


class VideoClips:
    """Clips cut from labelled video; clip i depends on the seed and i alone.

    Args:
        images: frames of video.
        skeleton: their skeleton.
        settings: how clips are cut and varied.
        frames: T, frames per clip.
        size_px: side of the square canvas.
        seed: of everything random.

    Raises:
        VepeError: if no labelled frame has the neighbours that a clip needs.
    """

    def __init__(
        self,
        images: ImageIndex,
        skeleton: Skeleton,
        settings: VideoClipConfig,
        *,
        frames: int,
        size_px: int,
        seed: int = 0,
    ) -> None:
        self.images, self.skeleton, self.seed = images, skeleton, seed
        self.sampler = ClipSampler(
            images.videos(), images.times_s(), images.column("labelled"), settings, frames
        )
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
        sampled = self.sampler.draw(rng)
        records = [self.images[row] for row in sampled.rows.tolist()]
        keys = tuple(t for t, record in enumerate(records) if record.labelled)
        nobody = People.empty(len(self.skeleton))
        clip = Clip(
            images=_decode(records),
            time_s=sampled.times_s,
            people=tuple(record.people if record.labelled else nobody for record in records),
            key_indices=keys,
            background_weight=min(records[t].background_weight for t in keys),
            name=records[keys[0]].name,
        )
        return self.transform(clip, rng, stretched=records[0].square_stretched)


def _decode(records: list[ImageRecord]) -> UInt8[np.ndarray, "T H W 3"]:
    """The frames; a repeated image is decoded once. Raises UnreadableImageError."""
    first = records[0]
    if len(records) == 1:
        return first.image()[None]
    images = {name: record.image() for name, record in {r.name: r for r in records}.items()}
    for name, image in images.items():
        if image.shape != images[first.name].shape:
            raise UnreadableImageError(
                f"Images '{first.name}' and '{name}' in '{first.place}' are frames of one video "
                "but differ in size; resize them."
            )
    return np.stack([images[record.name] for record in records])


@dataclass(frozen=True)
class ClipFrames:
    """The frames of a clip: `rows` (T,) of the data set, and their times (T,), the first 0."""

    rows: Int[np.ndarray, "T"]
    times_s: Float[np.ndarray, "T"]


class ClipSampler:
    """Draws the frames of clips; every labelled frame is equally likely to be in one.

    Args:
        videos: (F,) number of each frame's video, -1 for single images.
        times_s: (F,) time in the video.
        labelled: (F,) which frames have labels.
        settings: gaps, and probabilities of dropped and repeated frames.
        num_frames: T.

    Raises:
        VepeError: if no labelled frame has enough neighbours.
    """

    def __init__(
        self,
        videos: Int[np.ndarray, "F"],
        times_s: Float[np.ndarray, "F"],
        labelled: Bool[np.ndarray, "F"],
        settings: VideoClipConfig,
        num_frames: int,
    ) -> None:
        self.settings, self.num_frames = settings, num_frames
        order = np.lexsort((times_s, videos))
        # One clock for all videos: the time between two of them is longer than any gap.
        starts = np.diff(videos[order], prepend=-2) != 0
        starts |= videos[order] < 0
        deltas = np.diff(times_s[order], prepend=0)
        deltas = np.where(starts, 2 * settings.max_gap_s + 1, deltas)
        self.rows, self.clock = order, np.cumsum(deltas)
        self.after, self.before = self._reach(self.clock), self._reach(-self.clock[::-1])[::-1]
        enough = self.after + self.before + 1 >= num_frames
        self.keys = np.flatnonzero(labelled[order] & enough)
        if not len(self.keys):
            raise VepeError(
                f"No labelled frame has the neighbours for a clip of {num_frames} frames at "
                f"gaps of {settings.min_gap_s:g} to {settings.max_gap_s:g} s; use fewer frames "
                "or larger gaps."
            )

    def _reach(self, clock: Float[np.ndarray, "F"]) -> Int[np.ndarray, "F"]:
        """How many frames of a clip can follow each frame (T - 1 at most)."""
        following, allowed = self._next(clock, np.arange(len(clock)))
        reach = np.zeros(len(clock), np.int64)
        for _ in range(self.num_frames - 1):
            reach = np.where(allowed, 1 + reach[following], 0)
        return reach

    def _next(
        self, clock: Float[np.ndarray, "F"], at: Int[np.ndarray, "Q"]
    ) -> tuple[Int[np.ndarray, "Q"], Bool[np.ndarray, "Q"]]:
        """The first frame at least `min_gap_s` ahead, and whether it is within `max_gap_s`."""
        now = clock[at]
        first = np.searchsorted(clock, now + self.settings.min_gap_s - _SLACK_S)
        first = np.maximum(first, at + 1)
        inside = np.minimum(first, len(clock) - 1)
        near = clock[inside] - now <= self.settings.max_gap_s + _SLACK_S
        return inside, (first < len(clock)) & near

    def draw(self, rng: np.random.Generator) -> ClipFrames:
        """A random clip."""
        s, num_frames = self.settings, self.num_frames
        key = int(self.keys[rng.integers(len(self.keys))])
        if num_frames == 1:
            return ClipFrames(self.rows[[key]], np.zeros(1))
        earliest = max(0, num_frames - 1 - int(self.after[key]))
        latest = min(num_frames - 1, int(self.before[key]))
        position = int(rng.integers(earliest, latest + 1))  # of the key frame in the clip
        gaps = np.full(num_frames - 1, rng.uniform(s.min_gap_s, s.max_gap_s))
        gaps *= 1 + (rng.random(num_frames - 1) < s.frame_drop_prob)
        last = len(self.clock) - 1
        # Backwards in time is forwards on the negative clock.
        back = self._walk(-self.clock[::-1], last - key, gaps[:position][::-1], self.before[::-1])
        ahead = self._walk(self.clock, key, gaps[position:], self.after)
        chain = np.array([last - i for i in back[::-1]] + [key] + ahead)
        times = self.clock[chain] - self.clock[chain[0]]
        for t in np.flatnonzero(rng.random(num_frames) < s.frame_repeat_prob):
            if t > 0 and t != position:  # the labelled frame stays
                chain[t] = chain[t - 1]
        return ClipFrames(self.rows[chain], times)

    def _walk(
        self,
        clock: Float[np.ndarray, "F"],
        start: int,
        gaps: Float[np.ndarray, "G"],
        reach: Int[np.ndarray, "F"],
    ) -> list[int]:
        """Frames after `start`, as close to the drawn gaps as the video and the bounds allow."""
        chain, at = [], start
        for number, gap in enumerate(gaps):
            nearest, _ = self._next(clock, np.array([at]))
            first, now = int(nearest[0]), clock[at]
            end = int(np.searchsorted(clock, now + self.settings.max_gap_s + _SLACK_S, "right"))
            choice = first + int(np.abs(clock[first:end] - now - gap).argmin())
            # The best frame may be too close to the video's end for the rest of the clip.
            at = choice if reach[choice] >= len(gaps) - 1 - number else first
            chain.append(at)
        return chain
