"""What a window could add at best: are other frames' poses better than the key frame's own?

    python benchmarks/window_potential.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

For every labelled person of synthetic video (`vepe synth`): the spatial decoder's pose of highest
OKS, in the key frame and in the other frames of its window. The others are moved by the true mean
motion of the person, so that only the pose itself is judged. Three ways to use them: another
frame's pose in place of the own one; each keypoint from the frame where it is nearest to the label
(an oracle); and each keypoint from the frame with the highest confidence, which a network could do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from temporal_parts import EncodedVideo, arguments, root_area, start

from vepe.inference.prepost import frame_poses
from vepe.models.streaming import window_indices
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15

SIGMAS = POSETRACK15.sigma_array()


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


def observations(video: EncodedVideo) -> list[dict[int | None, Observation]]:
    """The people of every frame by track id."""
    result = []
    for frame, output, fit in zip(video.gt.frames, video.spatial, video.fits, strict=True):
        poses = frame_poses(output, fit, frame_index=0, time_s=0.0, conf=0.0)
        best = {}
        for person in frame.people:
            area = root_area(person) ** 2
            candidates = [
                Observation(person.keypoints_px, person.present, area, *pose)
                for pose in zip(poses.keypoints_px, poses.keypoint_scores, strict=True)
            ]
            best[person.track_id] = max(candidates, key=lambda c: c.oks(c.pred_px))
        result.append(best)
    return result


def compare(model: Vepe, video: EncodedVideo) -> list[tuple[float, ...]]:
    """OKS of every person: own pose, best other, nearest keypoints, most confident keypoints."""
    people, rows = observations(video), []
    for key, in_key_frame in enumerate(people):
        window, index = window_indices(
            video.times_s, key, model.window, model.lookahead, model.memory_interval_s
        )
        others = [people[i] for n, i in enumerate(window) if n != index]
        for track, own in in_key_frame.items():
            moved = [move_to(o[track], own) for o in others if track in o]
            poses = np.stack([own.pred_px, *(pose for pose, _ in moved)])
            confidences = np.stack([own.confidence, *(confidence for _, confidence in moved)])
            nearest = np.stack([own.similarity(pose) for pose in poses]).max(axis=0)
            choice = confidences.argmax(axis=0)[None, :, None]
            confident = np.take_along_axis(poses, choice, axis=0)[0]
            rows.append(
                (
                    own.oks(own.pred_px),
                    max((own.oks(pose) for pose in poses[1:]), default=0.0),
                    float(nearest[own.present].mean()),
                    own.oks(confident),
                )
            )
    return rows


def move_to(other: Observation, own: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Another frame's pose moved to the person's present position, with its confidences."""
    both = other.present & own.present
    shift = (own.gt_px - other.gt_px)[both].mean(axis=0) if both.any() else np.zeros(2)
    return other.pred_px + shift, other.confidence


def main() -> None:
    model, _, videos = start(arguments(__doc__.splitlines()[0]).parse_args())
    with torch.inference_mode():
        table = np.array([row for video in videos for row in compare(model, video)])
    own, other, nearest, confident = table.T
    print(f"{len(table)} people")
    print("| | OKS over 0.5 | OKS over 0.75 |\n|---|---|---|")
    for name, values in (
        ("own frame", own),
        ("own frame, or the best pose of another", np.maximum(own, other)),
        ("each keypoint from the frame where it is nearest", nearest),
        ("each keypoint from the frame with the highest confidence", confident),
    ):
        print(f"| {name} | {(values > 0.5).mean():.0%} | {(values > 0.75).mean():.0%} |")


if __name__ == "__main__":
    main()
