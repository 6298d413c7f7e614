"""VEPE: video end-to-end pose estimation.

The public names load on first use, so that `import vepe` is fast and imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load": "vepe.inference.predictor",
    "Predictor": "vepe.inference.predictor",
    "keep_freed_memory": "vepe.inference.devices",
    "FramePoses": "vepe.types",
    "PoseTracks": "vepe.types",
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
    from vepe.skeleton import Skeleton as Skeleton
    from vepe.types import FramePoses as FramePoses
    from vepe.types import PoseTracks as PoseTracks
    from vepe.types import VideoInfo as VideoInfo


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vepe' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
