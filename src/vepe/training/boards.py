"""Where a run's numbers and pictures are shown: TensorBoard always, W&B and MLflow when asked.

Each takes the same three calls. W&B and MLflow go on with the same run after a resume; both work
without a network: `WANDB_MODE=offline`, and MLflow writes into the run's folder unless
`MLFLOW_TRACKING_URI` says otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe.formats.files import dump_json

PROJECT = "vepe"


class Board(Protocol):
    """One place that shows a run. Steps are those of the whole run."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None: ...

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None: ...

    def close(self, *, failed: bool) -> None: ...


def open_boards(
    names: Sequence[str], folder: Path, recipe: Mapping[str, Any], start: int
) -> list[Board]:
    """TensorBoard, where it is installed, and the boards of `names`.

    Args:
        names: of `wandb` and `mlflow`.
        folder: of the run.
        recipe: what the run does, shown beside it.
        start: steps of the run that have been done; 0 starts a new one.

    Raises:
        VepeError: where a package is missing or does not start.
    """
    boards: list[Board] = []
    with suppress(ImportError):
        boards.append(_TensorBoard(folder, start))
    for name in dict.fromkeys(names):
        try:
            module = import_module(name)
        except ImportError:
            raise VepeError(
                f"Logging to '{name}' needs its package; run: pip install 'vepe[{name}]'."
            ) from None
        try:
            boards.append(_KINDS[name](module, folder, recipe, start))
        except Exception as error:  # theirs: no account, no network, another version
            raise VepeError(
                f"'{name}' did not start ({_first_line(error)}); {_ADVICE[name]}."
            ) from error
    return boards


_ADVICE = {
    "wandb": "log in with `wandb login`, or set WANDB_MODE=offline",
    "mlflow": "check MLFLOW_TRACKING_URI, or unset it to write into the run's folder",
}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__


class _TensorBoard:
    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a former session said of steps that are done once more is hidden.
        purge = start if (folder / "tensorboard").is_dir() else None
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        self.writer.add_image(name, image, step, dataformats="HWC")
        self.writer.flush()

    def close(self, *, failed: bool) -> None:
        self.writer.close()


class _WandB:
    def __init__(self, wandb: Any, folder: Path, recipe: Mapping[str, Any], start: int) -> None:
        self.wandb = wandb
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=str(folder),
            id=_kept_id(folder, "wandb") if start else None,
            resume="allow",
            config=dict(recipe),
        )
        _keep_id(folder, "wandb", self.run.id)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        self.run.log({name: self.wandb.Image(image)}, step=step)

    def close(self, *, failed: bool) -> None:
        self.run.finish(exit_code=int(failed))


class _Mlflow:
    def __init__(self, mlflow: Any, folder: Path, recipe: Mapping[str, Any], start: int) -> None:
        place = folder.resolve()
        local = not os.environ.get("MLFLOW_TRACKING_URI")
        self.client = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db" if local else None)
        known = _kept_id(folder, "mlflow") if start else None
        if known is None:
            files = (place / "mlflow").as_uri() if local else None
            found = self.client.get_experiment_by_name(PROJECT)
            experiment = (
                self.client.create_experiment(PROJECT, artifact_location=files)
                if found is None
                else found.experiment_id
            )
            known = self.client.create_run(experiment, run_name=folder.name).info.run_id
            self.client.log_dict(known, dict(recipe), "recipe.json")
        else:
            self.client.update_run(known, status="RUNNING")
        self.id: str = known
        _keep_id(folder, "mlflow", self.id)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.id, name, value, step=step, synchronous=False)

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        self.client.log_image(self.id, image, artifact_file=f"{name}_{step:06d}.png")

    def close(self, *, failed: bool) -> None:
        self.client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


_KINDS: dict[str, Callable[[Any, Path, Mapping[str, Any], int], Board]] = {
    "wandb": _WandB,
    "mlflow": _Mlflow,
}
_IDS = "boards.json"


def _kept_id(folder: Path, board: str) -> str | None:
    """The board's name of this run, from an earlier session."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / _IDS).read_text(encoding="utf-8")).get(board)
        return None if found is None else str(found)
    return None


def _keep_id(folder: Path, board: str, run: str) -> None:
    ids: dict[str, str] = {}
    with suppress(OSError, ValueError):
        ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
    dump_json(folder / _IDS, {**ids, board: run})
