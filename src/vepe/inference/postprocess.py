"""The network's output as people: thresholded and sorted, and no more.

There is no suppression of overlapping people: the matching of the training gives each person one
query.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vepe.inference.preprocess import Letterbox
from vepe.models.state import PoseOutput
from vepe.types import NO_TRACK, FramePoses


def frame_poses(
    output: PoseOutput,
    fit: Letterbox,
    *,
    frame_index: int,
    time_s: float,
    conf: float,
    max_people: int | None = None,
    embeddings: bool = True,
) -> FramePoses:
    """The people of one frame, best score first, in pixels of the source picture.

    Args:
        output: of one frame (a batch of 1).
        fit: how the picture was put into the network's input.
        frame_index, time_s: of the frame.
        conf: people with a score below are left out.
        max_people: keeps so many of the best, where given.
        embeddings: whether the identity embeddings are trained and worth passing on.
    """
    scores = _array(output.score_logits.sigmoid())
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= conf][:max_people]
    points = fit.to_source(_array(output.keypoints_px)[order].astype(np.float64))
    return FramePoses(
        frame_index=frame_index,
        time_s=time_s,
        keypoints_px=points.astype(np.float32),
        keypoint_scores=_array(output.confidence_logits.sigmoid())[order],
        scores=scores[order],
        track_ids=np.full(len(order), NO_TRACK, np.int64),
        embeddings=_array(output.identity)[order] if embeddings else None,
    )


def _array(batch: Tensor) -> np.ndarray:
    """The one row of a batch as float32."""
    array: np.ndarray = batch[0].detach().float().cpu().numpy()
    return array
