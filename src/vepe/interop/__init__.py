"""Poses as values of other libraries; each needs its extra, see docs/interoperability.md.

The names load on first use, and no library loads before a function needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "log_poses": "vepe.formats.rerun",
    "log_skeleton": "vepe.formats.rerun",
    "to_fiftyone": "vepe.interop.converters",
    "to_sleap": "vepe.interop.converters",
    "to_supervision": "vepe.interop.converters",
    "to_supervision_boxes": "vepe.interop.converters",
    "to_xarray": "vepe.interop.converters",
}
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from vepe.formats.rerun import log_poses as log_poses
    from vepe.formats.rerun import log_skeleton as log_skeleton
    from vepe.interop.converters import to_fiftyone as to_fiftyone
    from vepe.interop.converters import to_sleap as to_sleap
    from vepe.interop.converters import to_supervision as to_supervision
    from vepe.interop.converters import to_supervision_boxes as to_supervision_boxes
    from vepe.interop.converters import to_xarray as to_xarray


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vepe.interop' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
