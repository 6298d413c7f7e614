"""What a window could add at best, and how much of it the model reaches.

    python benchmarks/window_potential.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

For every labelled person of synthetic video (`vepe synth`): the finished pose of highest OKS, in
the key frame and in the frames that its window reads. Each joint of the others is moved by its true
motion to the key frame, so that only the pose itself is judged, and the right person is known.
Ways to use them: another frame's pose in place of the own one; each keypoint from the frame where
it is nearest to the label (both need the labels); each keypoint from the frame with the highest
confidence; the mean weighted by squared confidence. The last row is what the model makes of the
same window, with motion and people of its own estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from temporal_parts import EncodedVideo, Variant, arguments, read_window, start
from video_measures import root_area

from vepe.inference.prepost import frame_poses
from vepe.inference.torch_network import numpy_poses
from vepe.models.decoder_layer import PoseOutput
from vepe.models.vepe import Vepe
from vepe.models.windows import window_indices
from vepe.skeleton import POSETRACK15

SIGMAS = POSETRACK15.sigma_array()
ROWS = (
    "own frame",
    "own frame, or the best pose of another",
    "each keypoint from the frame where it is nearest",
    "each keypoint from the frame with the highest confidence",
    "mean weighted by squared confidence",
    "the model's window",
)


@dataclass(frozen=True)
class Observation:
    """A labelled person in one frame, and its best predicted pose."""

    gt_px: np.ndarray
    present: np.ndarray
    area_px: float
    pred_px: np.ndarray
    confidence: np.ndarray

    def oks(self, pred_px: np.ndarray) -> float:
        """OKS of any pose with the label."""
        return float(self.similarity(pred_px)[self.present].mean())

    def similarity(self, pred_px: np.ndarray) -> np.ndarray:
        """(K,) similarity of each keypoint, 0..1."""
        squared = np.square(pred_px - self.gt_px).sum(axis=-1)
        return np.exp(-squared / (2 * self.area_px * np.square(2 * SIGMAS)))


def observations(
    video: EncodedVideo, outputs: Sequence[PoseOutput]
) -> list[dict[int | None, Observation]]:
    """The people of every frame by track id."""
    result = []
    for frame, output, fit in zip(video.gt.frames, outputs, video.fits, strict=True):
        poses = frame_poses(numpy_poses(output), fit, frame_index=0, time_s=0.0, conf=0.0)
        best = {}
        for person in frame.people:
            area = root_area(person) ** 2
            candidates = [
                Observation(person.keypoints_px, person.present, area, *pose)
                for pose in zip(poses.keypoints_px, poses.keypoint_scores, strict=True)
            ]
            if candidates and person.present.any():
                best[person.track_id] = max(candidates, key=lambda c: c.oks(c.pred_px))
        result.append(best)
    return result


def compare(model: Vepe, video: EncodedVideo) -> list[tuple[float, ...]]:
    """OKS of every person by each of `ROWS`."""
    people = observations(video, [frame.poses for frame in video.frames])
    by_model = observations(video, read_window(model, video, Variant()))
    rows = []
    for key, in_key_frame in enumerate(people):
        window, _, reads = window_indices(
            video.times_s, key, model.window, model.lookahead, model.memory_interval_s
        )
        others = [people[window[index]] for index in reads]
        for track, own in in_key_frame.items():
            observed = [own, *(other[track] for other in others if track in other)]
            poses = np.stack([move_to(other, own) for other in observed])  # (T, K, 2)
            confidence = np.stack([other.confidence for other in observed])  # (T, K)
            weights = np.square(confidence)[..., None]
            mean = (poses * weights).sum(axis=0) / weights.sum(axis=0).clip(1e-12)
            choice = confidence.argmax(axis=0)[None, :, None]
            nearest = np.stack([own.similarity(pose) for pose in poses]).max(axis=0)
            window_pose = by_model[key][track]
            rows.append(
                (
                    own.oks(own.pred_px),
                    max(own.oks(pose) for pose in poses),
                    float(nearest[own.present].mean()),
                    own.oks(np.take_along_axis(poses, choice, axis=0)[0]),
                    own.oks(mean),
                    own.oks(window_pose.pred_px),
                )
            )
    return rows


def move_to(other: Observation, own: Observation) -> np.ndarray:
    """Another frame's pose, each joint moved by its true motion to the key frame.

    Joints that lack a label in one of the frames move by the mean of the others.
    """
    both = other.present & own.present
    motion = own.gt_px - other.gt_px
    mean = motion[both].mean(axis=0) if both.any() else np.zeros(2)
    return other.pred_px + np.where(both[:, None], motion, mean)


def main() -> None:
    model, _, videos = start(arguments(__doc__.splitlines()[0]).parse_args())
    with torch.inference_mode():
        table = np.array([row for video in videos for row in compare(model, video)])
    print(f"{len(table)} people")
    print("| | mean OKS | OKS over 0.5 | OKS over 0.75 |\n|---|---|---|---|")
    for name, values in zip(ROWS, table.T, strict=True):
        shares = " | ".join(f"{(values > limit).mean():.0%}" for limit in (0.5, 0.75))
        print(f"| {name} | {values.mean():.3f} | {shares} |")


if __name__ == "__main__":
    main()
