"""What PoseTrack21 adds to PoseTrack18; all else is shared.

Source: the PoseTrack21 kit and its documentation (anDoer/PoseTrack21). Pictures say
`has_labeled_person` (boxes are there, poses may not be), people carry a `person_id` over all
sequences, and frames with `is_labeled` false may hold records with boxes alone.
"""

from __future__ import annotations

from typing import Any


def is_posetrack21(data: dict[str, Any]) -> bool:
    """Whether a PoseTrack18-like document has one of the fields that PoseTrack21 brought."""
    return _has(data.get("images"), "has_labeled_person") or _has(
        data.get("annotations"), "person_id"
    )


def _has(records: Any, key: str) -> bool:
    return isinstance(records, list) and any(isinstance(r, dict) and key in r for r in records)
