"""A skeleton from nothing but keypoint names, as files give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vepe.config.skeleton import mirror_pairs, usual_sigmas
from vepe.skeleton import SKELETONS, Skeleton


def skeleton_named(names: Sequence[str], edges: Iterable[tuple[int, int]] = ()) -> Skeleton:
    """The known skeleton with these keypoints in this order, else a new one called 'custom'.

    A new one mirrors `left_` with `right_` and takes sigmas from known keypoints of that name.

    Raises:
        VepeError: on repeated names, or more than a skeleton can have.
    """
    for known in SKELETONS.values():
        if known.keypoints == tuple(names):
            return known
    return Skeleton(
        name="custom",
        keypoints=tuple(names),
        edges=tuple(edges),
        flip_pairs=mirror_pairs(names),
        sigmas=usual_sigmas(names),
    )
