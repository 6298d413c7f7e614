"""Which part of the window loses most: alignment, missed people, or the order of the scores.

    python benchmarks/window_ceilings.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

For synthetic video (`vepe synth`), whose labels give every joint's motion, hidden ones' too. Each
row of the table replaces one part of the model's window by the labels and leaves the rest as it is:

- true motion: joints are carried by the motion of the person's labels instead of the flow; of all
  joints, of those that both frames show, or of the others.
- people missed: those whose poses all have an OKS under 0.5 get the pose of the highest score that
  a frame of the window has of them, moved by their true motion, as one more person.
- scores: the order of all poses is that of their true OKS.

Columns as of `benchmarks/temporal_parts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from temporal_parts import EncodedVideo, Variant, arguments, measure, read_window, start
from torch import Tensor
from video_measures import MATCH_OKS, mean_gain, oks, root_area
from window_potential import Observation, move_to

from vepe.config.model import ModelConfig
from vepe.formats.annotations import AnnotatedFrame, Person
from vepe.inference.prepost import Letterbox, frame_poses
from vepe.inference.torch_network import numpy_poses
from vepe.models.alignment import FrameMotion
from vepe.models.decoder_layer import PoseOutput
from vepe.models.streaming import FrameMemory
from vepe.models.vepe import Vepe
from vepe.models.windows import window_indices
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses

MISSED_OKS = 0.5
JOINTS = ("all", "visible", "hidden")


@dataclass(frozen=True)
class Label:
    """A labelled person in pixels of the network's input; `unit_px` is the root of the area."""

    keypoints_px: np.ndarray
    unit_px: float
    present: np.ndarray
    visible: np.ndarray

    @staticmethod
    def of(person: Person, fit: Letterbox) -> Label:
        keypoints_px = fit.to_input(person.keypoints_px.astype(np.float64))
        unit_px = root_area(person) * float(fit.scale_xy.mean())
        return Label(keypoints_px, unit_px, person.present, person.visibility == 1)

    def oks(self, poses_px: np.ndarray) -> np.ndarray:
        """(N,) OKS of poses."""
        sigmas = POSETRACK15.sigma_array()[self.present]
        offsets = poses_px[:, self.present] - self.keypoints_px[self.present]
        squared = np.square(offsets).sum(axis=-1)  # (N, K')
        similarity = np.exp(-squared / (2 * np.square(2 * sigmas * self.unit_px)))
        return np.asarray(similarity.mean(axis=-1))


@dataclass(frozen=True)
class Found:
    """A person's best pose in one frame, with its score."""

    pose: Observation
    score: float
    embedding: np.ndarray | None


@dataclass(frozen=True)
class LabelledMotion(FrameMotion):
    """The flow between two frames, or the labels' motion for joints of labelled people."""

    earlier: dict[int | None, Label]
    later: dict[int | None, Label]
    joints: str

    def carry(self, points_px: Tensor, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
        carried, error_px = super().carry(points_px, reverse=reverse)
        here, there = (self.later, self.earlier) if reverse else (self.earlier, self.later)
        tracks = [track for track in here if track in there]
        if not tracks:
            return carried, error_px
        poses = points_px[0].double().numpy()
        similarity = np.stack([here[track].oks(poses) for track in tracks])  # (T, N)
        carried, error_px = carried.clone(), error_px.clone()
        for n, t in enumerate(similarity.argmax(axis=0)):
            if similarity[t, n] < MATCH_OKS:
                continue
            first, second = here[tracks[t]], there[tracks[t]]
            joints = first.present & second.present
            if self.joints != "all":
                joints &= (first.visible & second.visible) == (self.joints == "visible")
            moved_px = poses[n] + second.keypoints_px - first.keypoints_px
            carried[0, n, joints] = torch.from_numpy(moved_px[joints]).float()
            error_px[0, n, joints] = 0.0
        return carried, error_px


@dataclass(frozen=True)
class LabelledFrame(FrameMemory):
    """A frame whose motion to the next one is `LabelledMotion`."""

    labels: dict[int | None, Label]
    joints: str

    def motion_to(self, later: FrameMemory) -> FrameMotion | None:
        flow = super().motion_to(later)
        if flow is None or not isinstance(later, LabelledFrame):
            return flow
        maps = flow.forward, flow.backward, flow.image_wh_px
        return LabelledMotion(*maps, self.labels, later.labels, self.joints)


def with_true_motion(model: Vepe, video: EncodedVideo, joints: str) -> list[PoseOutput]:
    """The poses of all frames, read by the window with the labels' motion of some joints."""
    frames: list[FrameMemory] = []
    for memory, frame, fit in zip(video.frames, video.gt.frames, video.fits, strict=True):
        people = [person for person in frame.people if person.present.any()]
        labels = {person.track_id: Label.of(person, fit) for person in people}
        frames.append(LabelledFrame(memory.poses, memory.grey, labels, joints))
    return read_window(model, replace(video, frames=frames), Variant())


def in_images(video: EncodedVideo, outputs: Sequence[PoseOutput]) -> list[FramePoses]:
    """The poses of a video in pixels of its images."""
    return [
        frame_poses(numpy_poses(output), fit, frame_index=k, time_s=video.times_s[k], conf=0.0)
        for k, (output, fit) in enumerate(zip(outputs, video.fits, strict=True))
    ]


def with_missed_people(
    model: Vepe, video: EncodedVideo, own: list[FramePoses], pred: list[FramePoses]
) -> list[FramePoses]:
    """The poses `pred`, and those of people they miss from the window's other frames, `own`."""
    seen = [_found(frame, poses) for frame, poses in zip(video.gt.frames, own, strict=True)]
    result = []
    for key, (frame, poses) in enumerate(zip(video.gt.frames, pred, strict=True)):
        window, _, reads = window_indices(
            video.times_s, key, model.window, model.lookahead, model.memory_interval_s
        )
        for person in frame.people:
            mask = person.present
            if not mask.any() or oks(person, poses.keypoints_px, mask).max() >= MISSED_OKS:
                continue
            others = [seen[window[index]].get(person.track_id) for index in reads]
            found = [other for other in others if other is not None]
            if found:
                poses = _joined(poses, person, max(found, key=lambda one: one.score))
        result.append(poses)
    return result


def _found(frame: AnnotatedFrame, poses: FramePoses) -> dict[int | None, Found]:
    """The people of a frame who have a pose there."""
    found = {}
    for person in frame.people:
        if not person.present.any():
            continue
        similarity = oks(person, poses.keypoints_px, person.present)
        best = int(similarity.argmax())
        if similarity[best] >= MISSED_OKS:
            pose = poses.keypoints_px[best], poses.keypoint_scores[best]
            seen = Observation(person.keypoints_px, person.present, 1.0, *pose)
            embedding = None if poses.embeddings is None else poses.embeddings[best]
            found[person.track_id] = Found(seen, float(poses.scores[best]), embedding)
    return found


def _joined(poses: FramePoses, person: Person, found: Found) -> FramePoses:
    """The poses and one more, found in another frame and moved to this one; by score."""
    pose = found.pose
    gt = Observation(person.keypoints_px, person.present, 1.0, pose.pred_px, pose.confidence)
    scores = np.append(poses.scores, np.float32(found.score))
    order = np.argsort(-scores, kind="stable")
    keypoints_px = np.concatenate([poses.keypoints_px, move_to(pose, gt)[None]])
    embeddings = poses.embeddings
    if embeddings is not None and found.embedding is not None:
        embeddings = np.concatenate([embeddings, found.embedding[None]])[order]
    return replace(
        poses,
        keypoints_px=keypoints_px.astype(np.float32)[order],
        keypoint_scores=np.concatenate([poses.keypoint_scores, pose.confidence[None]])[order],
        scores=scores[order],
        track_ids=np.append(poses.track_ids, NO_TRACK)[order],
        embeddings=embeddings,
    )


def with_true_scores(video: EncodedVideo, pred: list[FramePoses]) -> list[FramePoses]:
    """The poses in the order of their OKS; the best of each person has it as score, others 0."""
    result = []
    for frame, poses in zip(video.gt.frames, pred, strict=True):
        scores = np.zeros(len(poses), np.float32)
        for person in frame.people:
            if person.present.any():
                similarity = oks(person, poses.keypoints_px, person.present)
                best = int(similarity.argmax())
                scores[best] = max(scores[best], similarity[best])
        order = np.argsort(-scores, kind="stable")
        result.append(replace(poses.select(order), scores=scores[order]))
    return result


@torch.inference_mode()
def rows(
    model: Vepe, config: ModelConfig, videos: Sequence[EncodedVideo]
) -> dict[str, dict[str, float | str]]:
    """The table."""
    own = [in_images(video, read_window(model, video, Variant(window=1))) for video in videos]
    full = [in_images(video, read_window(model, video, Variant())) for video in videos]
    pred = {"window of one": own, "the model's window": full}
    for joints in JOINTS:
        pred[f"true motion of {joints} joints"] = [
            in_images(video, with_true_motion(model, video, joints)) for video in videos
        ]
    pred["with the people missed"] = [
        with_missed_people(model, *parts) for parts in zip(videos, own, full, strict=True)
    ]
    pred["true order of scores"] = [
        with_true_scores(video, poses) for video, poses in zip(videos, full, strict=True)
    ]
    gt = [video.gt for video in videos]
    return {
        name: measure(gt, poses, config, tracks=name != "true order of scores")
        | mean_gain(gt, own, poses)
        for name, poses in pred.items()
    }


def main() -> None:
    model, config, videos = start(arguments(__doc__.splitlines()[0]).parse_args())
    table = rows(model, config, list(videos))
    columns = list(next(iter(table.values())))
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, row in table.items():
        values = (row.get(column, "") for column in columns)
        cells = [value if isinstance(value, str) else f"{value:.1f}" for value in values]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
