"""Offline smoothing of a stream of poses, in pieces that overlap: same result, constant memory.

The two-sided fit of `vepe.tracking.smoothing_offline` looks a bounded time to either side. So a
frame can be told once that much of its future is known, whatever comes later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vepe.config.tracking import SmoothingSettings
from vepe.skeleton import Skeleton
from vepe.tracking.smoothing_offline import smooth_offline
from vepe.types import FramePoses, PoseTracks, VideoInfo

_PIECE_S = 4.0


@dataclass
class OfflineSmoothing:
    """Takes tracked frames in order and gives them back smoothed, some seconds later.

    Attributes:
        settings: of the fit.
        piece_s: seconds that are smoothed at a time.
    """

    settings: SmoothingSettings = field(default_factory=SmoothingSettings)
    piece_s: float = _PIECE_S
    _frames: list[FramePoses] = field(default_factory=list)
    _told: int = 0

    @property
    def margin_s(self) -> float:
        """How far to either side a frame's result can depend on others.

        Two rounds of the fit, at the far end of a gap that is filled; a gap that cuts a track.
        """
        settings = self.settings
        return 2 * settings.half_window_s + max(settings.fill_gap_s, settings.reset_gap_s) + 0.01

    def push(self, poses: FramePoses) -> list[FramePoses]:
        """Takes the next frame; gives those that are certain now."""
        self._frames.append(poses)
        first = self._frames[self._told].time_s
        if poses.time_s - first < self.piece_s + self.margin_s:
            return []
        return self._tell(poses.time_s - self.margin_s)

    def finish(self) -> list[FramePoses]:
        """The rest."""
        return self._tell(float("inf"))

    def _tell(self, before_s: float) -> list[FramePoses]:
        """Smooths all that is held; gives the untold frames before a time, keeps the margin."""
        if not self._frames:
            return []
        video, skeleton = VideoInfo("", 0, 0, 1.0), _any_skeleton(self._frames[0])
        tracks = PoseTracks(video, skeleton, tuple(self._frames))
        calm = smooth_offline(tracks, self.settings).frames
        end = sum(frame.time_s < before_s for frame in self._frames)
        told = list(calm[self._told : end])
        if end < len(self._frames):
            kept_from_s = self._frames[end].time_s - self.margin_s
            drop = sum(frame.time_s < kept_from_s for frame in self._frames)
        else:
            drop = end
        self._frames, self._told = self._frames[drop:], end - drop
        return told


def _any_skeleton(frame: FramePoses) -> Skeleton:
    """A stand-in: smoothing counts keypoints, their names do not matter."""
    count = frame.keypoints_px.shape[1]
    return Skeleton("any", tuple(str(i) for i in range(count)), (), (), (1.0,) * count)
