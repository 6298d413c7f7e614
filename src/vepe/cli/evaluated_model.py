"""`vepe evaluate --model`: the options of the model that is run and scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.options import image_size, prepare_device
from vepe.errors import VepeError

if TYPE_CHECKING:
    from vepe.evaluation.run_model import ModelOptions
    from vepe.inference.predictor import Predictor

Model = Annotated[
    str | None, typer.Option("--model", help="Run this model instead of reading --pred.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder that image names in the ground truth are relative to."),
]
SavePred = Annotated[
    Path | None,
    typer.Option(
        help="Write the predictions of --model here, to score them again with --pred: a file; for "
        "tracks a folder."
    ),
]
Device = Annotated[str, typer.Option("--device", help="Device that --model runs on.")]
Conf = Annotated[
    float | None,
    typer.Option(
        "--conf",
        help="Person score threshold of --model. Values above 0 can only lower AP.",
        show_default="0",
    ),
]
TrackingConf = Annotated[
    float | None,
    typer.Option(
        "--conf",
        help="Score at which --model starts a track. Low values give the best AP; about 0.3 gives "
        "the best MOTA.",
        show_default="0.05",
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        help="Number of frames that --model uses to estimate the poses of one frame.",
        show_default="the model's",
    ),
]


def load_evaluated(options: ModelOptions, default_conf: float) -> Predictor:
    """The predictor of --model, with `default_conf` unless --conf is given."""
    prepare_device(options.device)
    return options.load(default_conf)


def model_options(
    pred: Path | list[Path] | None,
    model: str | None,
    images: Path | None,
    save_pred: Path | None,
    backend: str,
    device: str,
    conf: float | None,
    imgsz: int | None,
    input_px: int | None,
    window: int | None = None,
    *,
    flip: bool = False,
) -> ModelOptions | None:
    """The options of --model, None without one.

    Raises:
        VepeError: unless predictions come from exactly one source.
    """
    imgsz = image_size(imgsz, input_px)
    if (pred is None) == (model is None):
        raise VepeError("Give either --pred with predictions, or --model with --images.")
    if model is None:
        if flip or any(value is not None for value in (conf, imgsz, window, save_pred)):
            raise VepeError(
                "--conf, --imgsz, --window, --flip and --save-pred are settings of --model; leave "
                "them out."
            )
        return None
    if images is None:
        raise VepeError("--model needs --images: the folder that image names are relative to.")
    from vepe.evaluation.run_model import ModelOptions
    from vepe.formats.files import check_targets

    check_targets([save_pred] if save_pred else [], [])
    return ModelOptions(model, device, conf, imgsz, window, save_pred, backend, flip)
