"""Scores of poses and tracks: PoseTrack (AP, MOTA, keypoint HOTA), COCO and CrowdPose (OKS AP).

Nothing here needs torch. The names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "CocoResult": "vepe.evaluation.coco",
    "CrowdPoseResult": "vepe.evaluation.coco",
    "coco_oks_ap": "vepe.evaluation.coco",
    "evaluate_coco": "vepe.evaluation.coco",
    "evaluate_crowdpose": "vepe.evaluation.coco",
    "evaluate_posetrack": "vepe.evaluation.posetrack",
    "evaluate_tracks": "vepe.evaluation.tracks",
    "PoseTrackMatch": "vepe.evaluation.posetrack",
    "PoseTrackResult": "vepe.evaluation.results",
    "TracksResult": "vepe.evaluation.tracks",
}
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from vepe.evaluation.coco import CocoResult as CocoResult
    from vepe.evaluation.coco import CrowdPoseResult as CrowdPoseResult
    from vepe.evaluation.coco import coco_oks_ap as coco_oks_ap
    from vepe.evaluation.coco import evaluate_coco as evaluate_coco
    from vepe.evaluation.coco import evaluate_crowdpose as evaluate_crowdpose
    from vepe.evaluation.posetrack import PoseTrackMatch as PoseTrackMatch
    from vepe.evaluation.posetrack import evaluate_posetrack as evaluate_posetrack
    from vepe.evaluation.results import PoseTrackResult as PoseTrackResult
    from vepe.evaluation.tracks import TracksResult as TracksResult
    from vepe.evaluation.tracks import evaluate_tracks as evaluate_tracks


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vepe.evaluation' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
