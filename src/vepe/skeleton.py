"""Skeletons: which keypoints a pose has, how they are connected, mirrored and weighted.

A `Skeleton` is stored with the data, the weights and the results, so that any set of 1 to 133
keypoints works without code. To add one, add it to `SKELETONS`. Sigmas are COCO's falloffs of OKS;
those of PoseTrack's head points are the values of the PoseTrack18 tools.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vepe.errors import VepeError

MAX_KEYPOINTS = 133


@dataclass(frozen=True)
class Skeleton:
    """Names, edges, mirror pairs and OKS sigmas of a set of keypoints.

    Attributes:
        name: short name, stored in weights and results.
        keypoints: K names, unique; their order is the order of every K axis.
        edges: pairs of keypoint indices that are drawn as limbs.
        flip_pairs: pairs of indices that are swapped when the image is mirrored.
        sigmas: K falloffs of OKS, in units of the square root of the person's area.

    Raises:
        VepeError: on repeated names, wrong indices or lengths.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        k = len(self.keypoints)
        if not 1 <= k <= MAX_KEYPOINTS:
            raise VepeError(
                f"Skeleton '{self.name}' has {k} keypoints; give it 1 to {MAX_KEYPOINTS}."
            )
        if len(set(self.keypoints)) != k:
            raise VepeError(f"Skeleton '{self.name}' repeats a keypoint name; make each unique.")
        if len(self.sigmas) != k:
            raise VepeError(
                f"Skeleton '{self.name}' has {len(self.sigmas)} sigmas for {k} keypoints; "
                "give one for each."
            )
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise VepeError(f"Skeleton '{self.name}' needs sigmas above 0; correct them.")
        for a, b in (*self.edges, *self.flip_pairs):
            if not (0 <= a < k and 0 <= b < k):
                raise VepeError(
                    f"Skeleton '{self.name}' refers to keypoint {max(a, b)}, but it has only 0 to "
                    f"{k - 1}."
                )

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Index of a keypoint by name. Raises VepeError where the skeleton lacks it."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise VepeError(
                f"Skeleton '{self.name}' has no keypoint '{keypoint}'; it has "
                f"{', '.join(self.keypoints)}."
            ) from None

    def flip_order(self) -> Int[np.ndarray, "K"]:
        """Index array that reorders keypoints after a horizontal flip."""
        order = np.arange(len(self))
        for a, b in self.flip_pairs:
            order[a], order[b] = b, a
        return order

    def sigma_array(self) -> Float[np.ndarray, "K"]:
        """The sigmas as float64, in keypoint order."""
        return np.asarray(self.sigmas, np.float64)

    def shared_with(self, other: Skeleton) -> tuple[Int[np.ndarray, "S"], Int[np.ndarray, "S"]]:
        """Indices of the keypoints with names in both: (in self, in other), in self's order."""
        pairs = [
            (i, other.keypoints.index(name))
            for i, name in enumerate(self.keypoints)
            if name in other.keypoints
        ]
        array = np.asarray(pairs, np.int64).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for JSON; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Skeleton:
        """Reads what `to_dict` wrote. Raises VepeError on missing parts."""
        try:
            return Skeleton(
                name=str(data["name"]),
                keypoints=tuple(str(n) for n in data["keypoints"]),
                edges=tuple((int(a), int(b)) for a, b in data["edges"]),
                flip_pairs=tuple((int(a), int(b)) for a, b in data["flip_pairs"]),
                sigmas=tuple(float(s) for s in data["sigmas"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise VepeError(
                f"This skeleton is incomplete or malformed ({error}); give name, keypoints, edges, "
                "flip_pairs, sigmas."
            ) from error


def keypoint_difference(names: Sequence[str], others: Sequence[str]) -> str:
    """What differs between two lists of keypoints, for messages."""
    parts = [
        f"{label} {', '.join(only[:5])}{', ...' if len(only) > 5 else ''}"
        for label, only in (
            ("without", [name for name in others if name not in names]),
            ("with", [name for name in names if name not in others]),
        )
        if only
    ]
    return " and ".join(parts) if parts else "in another order"


def _body_pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Mirror pairs of names that differ only in `left_` and `right_`."""
    return tuple(
        (i, names.index("right_" + name.removeprefix("left_")))
        for i, name in enumerate(names)
        if name.startswith("left_")
    )


def _edges(names: tuple[str, ...], *chains: str) -> tuple[tuple[int, int], ...]:
    """Edges along chains of names such as 'left_hip left_knee left_ankle'."""
    result: list[tuple[int, int]] = []
    for chain in chains:
        links = chain.split()
        result += [(names.index(a), names.index(b)) for a, b in pairwise(links)]
    return tuple(result)


_ARMS_AND_LEGS = (
    "left_shoulder left_elbow left_wrist",
    "right_shoulder right_elbow right_wrist",
    "left_hip left_knee left_ankle",
    "right_hip right_knee right_ankle",
    "left_shoulder right_shoulder",
    "left_hip right_hip",
    "left_shoulder left_hip",
    "right_shoulder right_hip",
)
_LIMB_NAMES = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
_LIMB_SIGMAS = (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089)

_POSETRACK_NAMES = ("nose", "head_bottom", "head_top", *_LIMB_NAMES)
POSETRACK15 = Skeleton(
    name="posetrack15",
    keypoints=_POSETRACK_NAMES,
    edges=_edges(_POSETRACK_NAMES, "head_top nose head_bottom", *_ARMS_AND_LEGS),
    flip_pairs=_body_pairs(_POSETRACK_NAMES),
    # head_bottom and head_top inherit the sigmas of COCO's eyes, as in the PoseTrack18 tools.
    sigmas=(0.026, 0.025, 0.025, *_LIMB_SIGMAS),
)

_COCO_NAMES = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", *_LIMB_NAMES)
COCO17 = Skeleton(
    name="coco17",
    keypoints=_COCO_NAMES,
    edges=_edges(
        _COCO_NAMES,
        "left_ear left_eye nose right_eye right_ear",
        "nose left_shoulder",
        "nose right_shoulder",
        *_ARMS_AND_LEGS,
    ),
    flip_pairs=_body_pairs(_COCO_NAMES),
    sigmas=(0.026, 0.025, 0.025, 0.035, 0.035, *_LIMB_SIGMAS),
)

_CROWDPOSE_NAMES = (*_LIMB_NAMES, "head", "neck")
CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    keypoints=_CROWDPOSE_NAMES,
    edges=_edges(_CROWDPOSE_NAMES, "head neck", *_ARMS_AND_LEGS),
    flip_pairs=_body_pairs(_CROWDPOSE_NAMES),
    sigmas=(*_LIMB_SIGMAS, 0.079, 0.079),
)

SKELETONS = {s.name: s for s in (POSETRACK15, COCO17, CROWDPOSE14)}
"""Skeletons by name."""
