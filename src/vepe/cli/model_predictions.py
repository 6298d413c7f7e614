"""The model of `vepe evaluate --model`: its settings, and a bar while it works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor


@dataclass(frozen=True)
class ModelRun:
    """Which model runs, and how; what is None is the model's or the benchmark's own."""

    model: str
    device: str = "auto"
    conf: float | None = None
    input_px: int | None = None
    window: int | None = None

    def load(self, lowest: float) -> Predictor:
        """The predictor, from `lowest` on where no score is given. Errors as `vepe.load`."""
        from vepe.inference.predictor import load

        conf = lowest if self.conf is None else self.conf
        return load(
            self.model, device=self.device, conf=conf, input_px=self.input_px, window=self.window
        )


def with_bar(items: list[Any], what: str) -> Iterable[Any]:
    """Goes through the items with a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    return track(items, description=f"{len(items)} {what}", console=Console(stderr=True))
