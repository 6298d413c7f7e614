"""What a window could add at best: do the frames before know what the present one does not?

    python benchmarks/window_potential.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

For every labelled person of rendered video (`vepe synth`), the pose of the frame path with the best
OKS, in the key frame and in the others of its window. Those are moved along by the true mean motion
of the person, so that only the pose itself is judged. Three ways to use them: another frame's pose
in place of the own one; each keypoint from the frame where it is nearest to the truth, which nobody
can know; and each from the frame whose confidence is the highest, which a network could.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from temporal_parts import EncodedVideo, arguments, frame_path_output, root_of, started

from vepe.inference.prepost import frame_poses
from vepe.models.streaming import window_indices
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15

SIGMAS = POSETRACK15.sigma_array()


@dataclass(frozen=True)
class Sighting:
    """A labelled person in one frame, and the best pose that was found of it."""

    label_px: np.ndarray
    present: np.ndarray
    area_px: float
    pose_px: np.ndarray
    confidence: np.ndarray

    def oks(self, pose_px: np.ndarray) -> float:
        """OKS of any pose with this label."""
        return float(self.closeness(pose_px)[self.present].mean())

    def closeness(self, pose_px: np.ndarray) -> np.ndarray:
        """What each keypoint adds to it, 0..1."""
        squared = np.square(pose_px - self.label_px).sum(axis=-1)
        return np.exp(-squared / (2 * self.area_px * np.square(2 * SIGMAS)))


def sightings(video: EncodedVideo) -> list[dict[int | None, Sighting]]:
    """The people of every frame by track."""
    result = []
    for frame, features, fit in zip(video.truth.frames, video.frames, video.fits, strict=True):
        output = frame_path_output(features)
        poses = frame_poses(output, fit, frame_index=0, time_s=0.0, conf=0.0)
        found = {}
        for person in frame.people:
            label, present = person.keypoints_px, person.present
            area = root_of(person) ** 2
            each = [
                Sighting(label, present, area, *pose)
                for pose in zip(poses.keypoints_px, poses.keypoint_scores, strict=True)
            ]
            found[person.track_id] = max(each, key=lambda s: s.oks(s.pose_px))
        result.append(found)
    return result


def compare(model: Vepe, video: EncodedVideo) -> list[tuple[float, ...]]:
    """OKS of every person: own, best of the others, nearest keypoints, surest keypoints."""
    people, rows = sightings(video), []
    for key, here in enumerate(people):
        window, place = window_indices(
            video.times_s, key, model.window, model.lookahead, model.spacing_s
        )
        others = [people[i] for n, i in enumerate(window) if n != place]
        for track, own in here.items():
            moved = [moved_along(o[track], own) for o in others if track in o]
            poses = np.stack([own.pose_px, *(pose for pose, _ in moved)])
            sure = np.stack([own.confidence, *(confidence for _, confidence in moved)])
            nearest = np.stack([own.closeness(pose) for pose in poses]).max(axis=0)
            surest = np.take_along_axis(poses, sure.argmax(axis=0)[None, :, None], axis=0)[0]
            rows.append(
                (
                    own.oks(own.pose_px),
                    max((own.oks(pose) for pose in poses[1:]), default=0.0),
                    float(nearest[own.present].mean()),
                    own.oks(surest),
                )
            )
    return rows


def moved_along(other: Sighting, own: Sighting) -> tuple[np.ndarray, np.ndarray]:
    """Another frame's pose where the person is now, with its confidences."""
    both = other.present & own.present
    shift = (own.label_px - other.label_px)[both].mean(axis=0) if both.any() else np.zeros(2)
    return other.pose_px + shift, other.confidence


def main() -> None:
    model, _, videos = started(arguments(__doc__.splitlines()[0]).parse_args())
    with torch.inference_mode():
        table = np.array([row for video in videos for row in compare(model, video)])
    own, other, nearest, surest = table.T
    print(f"{len(table)} people")
    print("| | OKS over 0.5 | OKS over 0.75 |\n|---|---|---|")
    for name, values in (
        ("own frame", own),
        ("own frame, or the best pose of another", np.maximum(own, other)),
        ("each keypoint from the frame where it is nearest", nearest),
        ("each keypoint from the frame that is surest of it", surest),
    ):
        print(f"| {name} | {(values > 0.5).mean():.0%} | {(values > 0.75).mean():.0%} |")


if __name__ == "__main__":
    main()
