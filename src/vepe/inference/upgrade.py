"""Weights files of earlier versions, brought to the present form when they are read.

Before version 0.2 the temporal parts read the other frames' memories and queries with attention of
their own. With a window of one that attention is a linear map, which is what is left of it here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_UNUSED = re.compile(
    r"memory_encoder\.layers\.\d+\.time\."
    r"|pose_encoder\.layers\.\d+\.(time|motion|attention)\."
)
_ATTENTION = re.compile(r"(pose_encoder\.layers\.\d+)\.attention\.to_value\.weight")
_TRACKER = {"max_gap_s": 10.0, "reid_similarity": 0.5, "reid_margin": 0.3}


def upgrade_config(config: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the settings that older files were used with or lack."""
    temporal = dict(config.get("temporal", {}))
    if "alignment" not in temporal:
        for key in ("window", "lookahead", "spacing_s", "memory_interval_s"):
            temporal.pop(key, None)  # of windows without alignment
    return {"tracker": _TRACKER, **config, "temporal": temporal}


def upgrade_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by their present names; files of this version are returned as they are."""
    upgraded = {name: t for name, t in tensors.items() if not _UNUSED.match(name)}
    for name in tensors:
        if match := _ATTENTION.fullmatch(name):
            layer = match[1]
            value, out = f"{layer}.attention.to_value", f"{layer}.attention.to_out"
            weight = tensors[f"{out}.weight"].double()
            # The key frame's own token: its content and the embedding of no motion.
            constant = (
                tensors[f"{value}.weight"].double() @ tensors[f"{layer}.motion.bias"].double()
            )
            bias = weight @ (constant + tensors[f"{value}.bias"].double())
            mixed = weight @ tensors[f"{value}.weight"].double()
            upgraded[f"{layer}.mix.weight"] = mixed.float()
            upgraded[f"{layer}.mix.bias"] = (bias + tensors[f"{out}.bias"].double()).float()
    return upgraded
