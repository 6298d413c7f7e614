"""Slow reference implementations of the original evaluators, person by person and joint by joint.

`motmetrics` does the CLEAR MOT part, as it does in poseval. Nothing is shared with the package
but the file values and the point-in-polygon test, which has tests of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from scipy.optimize import linear_sum_assignment

from vepe.evaluation.selection import inside_any
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person

Pose = tuple[int, dict[int, np.ndarray], np.ndarray, float]
"""Track id, joints by number, scores, head size."""
Frames = list[tuple[list[Pose], list[Pose]]]


def _pose(p: Person, frame: AnnotatedFrame, posetrack21: bool) -> Pose | None:
    joints = {}
    invalid = 0
    for j in range(15):
        xy = p.keypoints_px[j]
        ignored = (
            bool(inside_any(xy, frame.ignore_regions_px)) if frame.ignore_regions_px else False
        )
        invalid += ignored or (xy[0] <= 0 and xy[1] <= 0)
        exists = xy[0] > 0 and xy[1] > 0 if posetrack21 else p.present[j]
        if exists and not ignored:
            joints[j] = xy
    if frame.ignore_regions_px and (invalid == 15 if posetrack21 else not joints):
        return None
    box = p.head_box_xyxy_px
    head = math.nan if box is None else 0.6 * float(np.linalg.norm(box[2:] - box[:2]))
    return (p.track_id if p.track_id is not None else -1, joints, p.keypoint_scores, head)


def frames_of(gt: AnnotatedSequence, pred: AnnotatedSequence, protocol: str) -> Frames:
    posetrack21 = protocol == "posetrack21"
    result = []
    for a, b in zip(gt.frames, pred.frames, strict=True):
        scored = a.is_labeled if posetrack21 else a.has_annotations
        if scored:
            sides = [[_pose(p, a, posetrack21) for p in side.people] for side in (a, b)]
            result.append(tuple([p for p in side if p is not None] for side in sides))
    return result  # type: ignore[return-value]


def _distance(gt: Pose, pred: Pose, joint: int) -> float:
    if joint not in gt[1] or joint not in pred[1]:
        return math.inf
    return float(np.linalg.norm(gt[1][joint] - pred[1][joint])) / gt[3]


def average_precision(frames: Frames, posetrack21: bool = False) -> np.ndarray:
    samples: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    annotated = np.zeros(15)
    for gt, pred in frames:
        for t in gt:
            for j in t[1]:
                annotated[j] += 1
        share = np.zeros((len(pred), len(gt)))
        for i, p in enumerate(pred):
            for k, t in enumerate(gt):
                hits = sum(_distance(t, p, j) <= 0.5 for j in range(15))
                share[i, k] = hits / max(1, len(t[1]))
        owner = {}
        if share.size:
            best = np.zeros_like(share)
            for i in range(len(pred)):
                best[i, share[i].argmax()] = share[i].max()
            owner = {int(best[:, k].argmax()): k for k in range(len(gt)) if best[:, k].max() > 0}
        for i, p in enumerate(pred):
            for j in p[1]:
                right = i in owner and _distance(gt[owner[i]], p, j) <= 0.5
                samples[j].append((float(p[2][j]), right))
    return np.array([_area(samples[j], annotated[j], posetrack21) for j in range(15)])


def _area(samples: list[tuple[float, bool]], annotated: float, posetrack21: bool) -> float:
    if not samples:
        return 0.0
    if not annotated:
        return 0.0 if posetrack21 else math.nan
    ranked = sorted(samples, key=lambda s: -s[0])
    hits, points = 0, []
    for rank, (_, right) in enumerate(ranked, start=1):
        hits += right
        points.append((hits / annotated, hits / rank))
    area, last = 0.0, 0.0
    for k, (recall, _) in enumerate(points):
        if recall > last:
            area += (recall - last) * max(p for _, p in points[k:])
            last = recall
    return 100 * area


def mot(sequences: list[Frames]) -> dict[str, np.ndarray]:
    """MOTA, both MOTPs, precision and recall per joint, through motmetrics."""
    import motmetrics

    sums = {n: np.zeros(15) for n in ("objects", "miss", "switch", "fp", "det", "all_d", "d")}
    for frames in sequences:
        for j in range(15):
            accumulator = motmetrics.MOTAccumulator(auto_id=True)
            for gt, pred in frames[:-1] if len(frames) > 1 else frames:
                if not gt or not pred:
                    accumulator.update([0], [0], [[np.nan]])
                    continue
                rows = [t for t in gt if j in t[1]]
                columns = [p for p in pred if j in p[1]]
                table = np.array(
                    [[_distance(t, p, j) for p in columns] for t in rows], float
                ).reshape(len(rows), len(columns))
                table[~(table <= 0.5)] = np.nan
                accumulator.update([t[0] for t in rows], [p[0] for p in columns], table)
            if not frames:
                continue
            events = accumulator.events
            kinds = events["Type"]
            matched = kinds.isin(["MATCH", "SWITCH"])
            sums["objects"][j] += (matched | (kinds == "MISS")).sum()
            sums["miss"][j] += (kinds == "MISS").sum()
            sums["switch"][j] += (kinds == "SWITCH").sum()
            sums["fp"][j] += (kinds == "FP").sum()
            sums["det"][j] += matched.sum()
            sums["d"][j] += events["D"][matched].sum()
            sums["all_d"][j] += events["D"].sum()
    with np.errstate(all="ignore"):
        det = sums["det"]
        errors = sums["miss"] + sums["switch"] + sums["fp"]
        return {
            "mota": 100 * (1 - errors / sums["objects"]),
            "motp": np.where(det > 0, 100 * (1 - sums["d"] / det), 0),
            "motp_motmetrics": np.where(det > 0, 100 * (1 - sums["all_d"] / det), 0),
            "mot_precision": 100 * det / (det + sums["fp"]),
            "mot_recall": 100 * det / sums["objects"],
        }


def hota(sequences: list[Frames], posetrack21: bool) -> np.ndarray:
    """(19, 15) HOTA values in percent per threshold and joint, counted one match at a time."""
    values = np.zeros((19, 15))
    for a, alpha in enumerate(np.arange(0.05, 0.99, 0.05)):
        for j in range(15):
            tp = fn = fp = 0
            weight = 0.0
            for frames in sequences:
                got = _hota_sequence(frames, j, alpha - np.finfo(float).eps, posetrack21)
                tp, fn, fp = tp + got[0], fn + got[1], fp + got[2]
                weight += got[3]
            det = tp / max(1, tp + fn + fp)
            values[a, j] = 100 * math.sqrt(det * weight / max(1, tp))
    return values


def _hota_sequence(
    frames: Frames, j: int, alpha: float, posetrack21: bool
) -> tuple[int, int, int, float]:
    gt_of: dict[int, int] = defaultdict(int)
    pred_of: dict[int, int] = defaultdict(int)
    for gt, pred in frames:
        for t in gt:
            gt_of[t[0]] += j in t[1]
        for p in pred:
            pred_of[p[0]] += j in p[1]
    someone = any(t for t, _ in frames), any(p for _, p in frames)
    tp = fn = fp = 0
    matches: dict[tuple[int, int], int] = defaultdict(int)
    for gt, pred in frames:
        here = sum(j in t[1] for t in gt), sum(j in p[1] for p in pred)
        if posetrack21 and all(someone) and not (gt and pred):
            if not gt:
                fp += sum(pred_of.values())
            else:
                fn += sum(gt_of.values())
            continue
        table = np.array([[max(0, 1 - _distance(t, p, j) / 0.5001) for p in pred] for t in gt])
        hits = 0
        if gt and pred:
            for r, c in zip(*linear_sum_assignment(-table), strict=True):
                if table[r, c] >= alpha:
                    hits += 1
                    matches[gt[r][0], pred[c][0]] += 1
        tp, fn, fp = tp + hits, fn + here[0] - hits, fp + here[1] - hits
    weight = sum(n * n / max(1, gt_of[t] + pred_of[p] - n) for (t, p), n in matches.items())
    return tp, fn, fp, weight
