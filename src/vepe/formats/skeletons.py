"""A skeleton from nothing but keypoint names, as files give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vepe.skeleton import SKELETONS, Skeleton

UNKNOWN_SIGMA = 0.05
"""OKS falloff of keypoints of which nothing is known (ours; amid COCO's values)."""


def skeleton_named(names: Sequence[str], edges: Iterable[tuple[int, int]] = ()) -> Skeleton:
    """The known skeleton with these keypoints in this order, else a new one called 'custom'.

    A new one mirrors `left_` with `right_` and takes sigmas from known keypoints of that name.

    Raises:
        VepeError: on repeated names, or more than a skeleton can have.
    """
    for known in SKELETONS.values():
        if known.keypoints == tuple(names):
            return known
    sigmas = {n: s for k in SKELETONS.values() for n, s in zip(k.keypoints, k.sigmas, strict=True)}
    pairs = [
        (i, names.index("right_" + name.removeprefix("left_")))
        for i, name in enumerate(names)
        if name.startswith("left_") and "right_" + name.removeprefix("left_") in names
    ]
    return Skeleton(
        name="custom",
        keypoints=tuple(names),
        edges=tuple(edges),
        flip_pairs=tuple(pairs),
        sigmas=tuple(sigmas.get(name, UNKNOWN_SIGMA) for name in names),
    )
