"""Experiment trackers of a run: TensorBoard always, Weights & Biases and MLflow on request.

The trackers are accelerate's. Added here: a resumed run continues the same W&B or MLflow run,
images are logged, failed runs are marked as such, and a tracker that fails does not stop training.
Both services work without a network: W&B with `WANDB_MODE=offline`; MLflow writes into the run's
folder unless `MLFLOW_TRACKING_URI` is set.

To add a tracker, subclass accelerate's with `log_image` and `close`, and add it to `_TRACKERS` and
to `TrainConfig.logging`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker
from jaxtyping import UInt8

from vepe.errors import VepeError, missing_extra
from vepe.formats.files import dump_json, load_json

PROJECT = "vepe"
_RUN_IDS = "trackers.json"
"""File in a run's folder with the ids that the services gave it."""


class Trackers:
    """The trackers of a run, as one.

    Args:
        names: of `wandb` and `mlflow`; TensorBoard is added if it is installed.
        folder: of the run.
        recipe: logged as the configuration.
        first_step: optimiser steps that the run has done already; 0 starts a new one.
        note: gets a line about each tracker that fails.

    Raises:
        VepeError: if a package is missing or a tracker does not start.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        recipe: Mapping[str, Any],
        first_step: int,
        note: Callable[[str], None],
    ) -> None:
        self.note = note
        self.active: list[Any] = []
        with suppress(ImportError):
            tensorboard = _TensorBoard(folder, recipe, first_step)
            tensorboard.start()
            self.active.append(tensorboard)
        for name in dict.fromkeys(names):
            try:
                import_module(name)
            except ImportError:
                raise missing_extra(f"--log {name}", name, name) from None
            try:
                tracker = _TRACKERS[name](folder, recipe, first_step)
                tracker.start()
            except Exception as error:  # of any kind: no account, no network, another version
                raise VepeError(
                    f"'{name}' did not start ({_first_line(error)}); {_ADVICE[name]}."
                ) from error
            self.active.append(tracker)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs values at a step of the run."""
        self._each(lambda tracker: tracker.log(dict(values), step=step))

    def image(self, step: int, name: str, path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Logs an RGB image that is also stored as a file."""
        self._each(lambda tracker: tracker.log_image(step, name, path, image))

    def close(self, *, failed: bool) -> None:
        """Ends the run in all trackers."""
        self._each(lambda tracker: tracker.close(failed=failed))

    def _each(self, call: Callable[[Any], None]) -> None:
        """Calls all trackers; one that fails is not used again, and the run continues."""
        for tracker in list(self.active):
            try:
                call(tracker)
            except Exception as error:  # of any kind
                self.active.remove(tracker)
                self.note(
                    f"{tracker.name} failed ({_first_line(error)}); the run continues without it."
                )


class _TensorBoard(TensorBoardTracker):
    def __init__(self, folder: Path, recipe: Mapping[str, Any], first_step: int) -> None:
        # Hides what an earlier session logged for steps that are repeated.
        purge_step = first_step if (folder / "tensorboard").is_dir() else None
        super().__init__("tensorboard", folder, purge_step=purge_step)

    def log_image(self, step: int, name: str, path: Path, image: np.ndarray) -> None:
        self.log_images({name: image[None]}, step=step, dataformats="NHWC")
        self.tracker.flush()

    def close(self, *, failed: bool) -> None:
        self.finish()


class _WandB(WandBTracker):
    def __init__(self, folder: Path, recipe: Mapping[str, Any], first_step: int) -> None:
        self.folder = folder
        super().__init__(
            os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=str(folder),
            id=_run_id(folder, "wandb") if first_step else None,
            resume="allow",
            config=dict(recipe),
        )

    def start(self) -> None:
        super().start()
        _save_run_id(self.folder, "wandb", self.tracker.id)

    def log_image(self, step: int, name: str, path: Path, image: np.ndarray) -> None:
        self.log_images({name: [image]}, step=step)

    def close(self, *, failed: bool) -> None:
        self.tracker.finish(exit_code=int(failed))


class _MLflow(MLflowTracker):
    def __init__(self, folder: Path, recipe: Mapping[str, Any], first_step: int) -> None:
        self.folder, self.recipe = folder, dict(recipe)
        self.local = not os.environ.get("MLFLOW_TRACKING_URI")
        super().__init__(
            PROJECT,
            logging_dir=(folder.resolve() / "mlflow").as_uri() if self.local else None,
            run_id=_run_id(folder, "mlflow") if first_step else None,
            run_name=folder.name,
        )

    def start(self) -> None:
        mlflow: Any = import_module("mlflow")
        if self.local:
            mlflow.set_tracking_uri(f"sqlite:///{self.folder.resolve()}/mlflow.db")
        super().start()
        _save_run_id(self.folder, "mlflow", self.tracker.info.run_id)
        if self.run_id is None:
            mlflow.log_dict(self.recipe, "recipe.json")

    def log(self, values: dict[str, Any], step: int | None = None, **options: Any) -> None:
        # The server may be slow; training does not wait for it.
        super().log(values, step=step, synchronous=False, **options)

    def log_image(self, step: int, name: str, path: Path, image: np.ndarray) -> None:
        self.log_artifact(str(path), artifact_path=name.rpartition("/")[0])

    def close(self, *, failed: bool) -> None:
        mlflow: Any = import_module("mlflow")
        mlflow.flush_async_logging()
        mlflow.end_run("FAILED" if failed else "FINISHED")
        if self.local:  # the next run of this process has its own
            mlflow.set_tracking_uri(None)


_TRACKERS: dict[str, Any] = {"wandb": _WandB, "mlflow": _MLflow}
_ADVICE = {
    "wandb": "log in with `wandb login`, or set WANDB_MODE=offline",
    "mlflow": "check MLFLOW_TRACKING_URI, or unset it to write into the run's folder",
}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__


def _run_id(folder: Path, tracker: str) -> str | None:
    """The id that an earlier session of this run got from a tracker."""
    run_id = _run_ids(folder).get(tracker)
    return None if run_id is None else str(run_id)


def _save_run_id(folder: Path, tracker: str, run_id: str) -> None:
    dump_json(folder / _RUN_IDS, {**_run_ids(folder), tracker: run_id})


def _run_ids(folder: Path) -> dict[str, Any]:
    with suppress(VepeError):
        run_ids = load_json(folder / _RUN_IDS)
        return run_ids if isinstance(run_ids, dict) else {}
    return {}
