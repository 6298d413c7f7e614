"""VEPE: video end-to-end pose estimation.

The public names load on first use, so that `import vepe` is fast and imports no torch.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

logging.getLogger("vepe").addHandler(logging.NullHandler())  # quiet unless the program logs

_HOME = {
    "load": "vepe.inference.predictor",
    "read": "vepe.results.video",
    "Predictor": "vepe.inference.predictor",
    "keep_freed_memory": "vepe.inference.devices",
    "DrawingOptions": "vepe.viz.options",
    "FramePoses": "vepe.types",
    "FrameResult": "vepe.results.frame",
    "PersonTrack": "vepe.types",
    "PoseTracks": "vepe.types",
    "VideoResult": "vepe.results.video",
    "VideoInfo": "vepe.types",
    "Skeleton": "vepe.skeleton",
    "VepeError": "vepe.errors",
}
__all__ = [*sorted(_HOME), "__version__"]

if TYPE_CHECKING:
    from vepe.errors import VepeError as VepeError
    from vepe.inference.devices import keep_freed_memory as keep_freed_memory
    from vepe.inference.predictor import Predictor as Predictor
    from vepe.inference.predictor import load as load
    from vepe.results.frame import FrameResult as FrameResult
    from vepe.results.video import VideoResult as VideoResult
    from vepe.results.video import read as read
    from vepe.skeleton import Skeleton as Skeleton
    from vepe.types import FramePoses as FramePoses
    from vepe.types import PersonTrack as PersonTrack
    from vepe.types import PoseTracks as PoseTracks
    from vepe.types import VideoInfo as VideoInfo
    from vepe.viz.options import DrawingOptions as DrawingOptions


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vepe' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
