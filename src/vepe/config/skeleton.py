"""Skeletons as users write them: a known name, a file, or keypoints and edges by name.

    skeleton: coco17
    skeleton: pliers.yaml
    skeleton:
      name: pliers
      keypoints: [left_tip, right_tip, pivot, left_grip, right_grip]
      edges: [[left_tip, pivot], [pivot, right_grip]]

What is left out follows from the names: `left_` mirrors `right_`, and a keypoint of a known
skeleton takes its sigma from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vepe.config.documents import parse_yaml, read_limited
from vepe.errors import VepeError
from vepe.skeleton import SKELETONS, Skeleton

UNKNOWN_SIGMA = 0.05
"""OKS falloff of unknown keypoints (ours; in the middle of COCO's values)."""

_PARTS = ("name", "keypoints", "edges", "flip_pairs", "sigmas")


def mirror_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of indices whose names differ only in `left_` and `right_`."""
    return tuple(
        (i, names.index("right_" + name.removeprefix("left_")))
        for i, name in enumerate(names)
        if name.startswith("left_") and "right_" + name.removeprefix("left_") in names
    )


def usual_sigmas(names: Sequence[str]) -> tuple[float, ...]:
    """Sigmas of known keypoints of these names, `UNKNOWN_SIGMA` for the others."""
    known = {n: s for k in SKELETONS.values() for n, s in zip(k.keypoints, k.sigmas, strict=True)}
    return tuple(known.get(name, UNKNOWN_SIGMA) for name in names)


def read_skeleton(value: Any) -> Skeleton:
    """A skeleton from a name, the path of a YAML or JSON file, or a mapping.

    In a mapping, `edges` and `flip_pairs` are names or indices of keypoints, and `sigmas` is one
    number for all or one for each; these three and `name` are optional.

    Raises:
        VepeError: where the name is unknown, the file cannot be read, or a part is wrong.
    """
    if isinstance(value, Skeleton):
        return value
    if isinstance(value, str):
        if value in SKELETONS:
            return SKELETONS[value]
        path = Path(value)
        if path.suffix not in (".yaml", ".yml", ".json"):
            raise VepeError(
                f"There is no skeleton '{value}'; known are {', '.join(SKELETONS)}, or give a "
                "YAML file with `keypoints:` and `edges:`."
            )
        value = _read_file(path)
    if not isinstance(value, Mapping):
        raise VepeError("A skeleton is a name, a file, or `keypoints:` and `edges:`.")
    return _from_mapping(value)


def _read_file(path: Path) -> Any:
    try:
        data = parse_yaml(read_limited(path), f"'{path}'")
    except OSError as error:
        raise VepeError(
            f"The skeleton file '{path}' cannot be read ({(error.strerror or str(error)).lower()})"
            "; check the path."
        ) from None
    if not isinstance(data, Mapping):
        return data
    inner = data.get("skeleton") or data
    return {"name": path.stem, **inner} if isinstance(inner, Mapping) else inner


def _from_mapping(data: Mapping[str, Any]) -> Skeleton:
    wrong = [str(key) for key in data if key not in _PARTS]
    if wrong:
        raise VepeError(f"A skeleton has no '{wrong[0]}'; it has {', '.join(_PARTS)}.")
    keypoints = data.get("keypoints")
    if not isinstance(keypoints, list | tuple):
        raise VepeError("A skeleton needs `keypoints:`, the list of their names.")
    names = [str(name) for name in keypoints]
    sigmas = data.get("sigmas", usual_sigmas(names))
    if isinstance(sigmas, int | float):
        sigmas = [sigmas] * len(names)
    pairs = data.get("flip_pairs")
    return Skeleton.from_dict(
        {
            "name": data.get("name", "custom"),
            "keypoints": names,
            "edges": _indices(data.get("edges", ()), names, "edges"),
            "flip_pairs": mirror_pairs(names)
            if pairs is None
            else _indices(pairs, names, "flip_pairs"),
            "sigmas": sigmas,
        }
    )


def _indices(pairs: Any, names: Sequence[str], part: str) -> list[tuple[int, int]]:
    """Pairs of names or indices as pairs of indices."""
    result = []
    if not isinstance(pairs, list | tuple | None):
        raise VepeError(f"The skeleton's {part} must be a list of pairs of keypoints.")
    for pair in pairs or ():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise VepeError(f"'{pair}' in the skeleton's {part} is not a pair of keypoints.")
        for joint in pair:
            if not isinstance(joint, str) and type(joint) is not int:
                raise VepeError(
                    f"'{joint}' in the skeleton's {part} is no keypoint; give its name or index."
                )
            if isinstance(joint, str) and joint not in names:
                raise VepeError(
                    f"The skeleton's {part} name '{joint}', which is not one of its "
                    f"keypoints {', '.join(names)}."
                )
        first, second = (names.index(j) if isinstance(j, str) else j for j in pair)
        result.append((first, second))
    return result
