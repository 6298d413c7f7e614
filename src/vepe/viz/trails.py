"""Short trails behind tracked people: where each has been in the last frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from vepe.types import NO_TRACK, FramePoses

Point = tuple[float, float]


@dataclass(frozen=True)
class Trails:
    """The recent places of every track; a value that goes in and comes out.

    Attributes:
        length: points that are kept a track.
        points_px: by track id, the middles of the body in pixels, oldest first.
    """

    length: int = 24
    points_px: dict[int, tuple[Point, ...]] = field(default_factory=dict)

    def after(self, poses: FramePoses, *, min_keypoint_score: float = 0.3) -> Trails:
        """The trails with one more frame. Whoever is not in it loses the oldest point, so that
        the trail of somebody who left melts away; people without a track id have none."""
        grown = {track: points[1:] for track, points in self.points_px.items() if len(points) > 1}
        for n, track in enumerate(poses.track_ids.tolist()):
            sure = poses.keypoint_scores[n] >= min_keypoint_score
            if track == NO_TRACK or not sure.any():
                continue
            x, y = np.median(poses.keypoints_px[n][sure], axis=0).tolist()
            before = self.points_px.get(track, ())
            grown[track] = (*before, (x, y))[-self.length :]
        return replace(self, points_px=grown)
