"""`vepe evaluate`: scores predictions as PoseTrack, COCO and CrowdPose do."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.errors import VepeError

if TYPE_CHECKING:
    from vepe.evaluation.results import JointTable, PoseTrackResult, PoseTrackScores

app = typer.Typer(
    no_args_is_help=True, help="Score predictions as PoseTrack, COCO and CrowdPose do."
)


class Joints(str, Enum):  # noqa: UP042 - typer shows the plain values
    all = "all"
    shared = "shared"


class Protocol(str, Enum):  # noqa: UP042
    poseval = "poseval"
    posetrack21 = "posetrack21"


class Hota(str, Enum):  # noqa: UP042
    kit = "kit"
    fixed = "fixed"


Truth = Annotated[Path, typer.Option("--gt", help="Ground truth: a file.", show_default=False)]
Found = Annotated[Path | None, typer.Option("--pred", help="Predictions: a file.")]
Report = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Run this model instead of reading --pred.")
]
Images = Annotated[
    Path | None, typer.Option("--images", help="Folder that the ground truth's names start from.")
]
Device = Annotated[str, typer.Option("--device", help="Where the model runs.")]
Conf = Annotated[
    float | None,
    typer.Option(
        "--conf", help="Lowest person score of --model; AP wants a low one.", show_default="0"
    ),
]
TrackedConf = Annotated[
    float | None,
    typer.Option(
        "--conf",
        help="Person score of --model that starts a track; AP wants a low one, MOTA about 0.3.",
        show_default="0.05",
    ),
]
InputPx = Annotated[
    int | None,
    typer.Option("--input-px", help="Longer side of --model's input.", show_default="the model's"),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        help="Frames that --model reads a frame's poses from.",
        show_default="the model's",
    ),
]


@app.command()
def posetrack(
    gt: Annotated[
        Path, typer.Option("--gt", help="Ground truth: a folder of files.", show_default=False)
    ],
    pred: Annotated[Path | None, typer.Option("--pred", help="Predictions: a folder.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="Whose AP.")] = Protocol.poseval,
    hota: Annotated[
        Hota, typer.Option(help="'kit' counts as the PoseTrack21 kit, 'fixed' without its bug.")
    ] = Hota.kit,
    per_sequence: Annotated[
        bool, typer.Option("--per-sequence", help="Print a line for every sequence.")
    ] = False,
    json_file: Report = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page with pictures to this folder.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write --report among other files of its folder.")
    ] = False,
    model: Model = None,
    images: Images = None,
    device: Device = "auto",
    conf: TrackedConf = None,
    input_px: InputPx = None,
    window: Window = None,
) -> None:
    """AP, MOTA and keypoint HOTA of PoseTrack; 2017, 2018 and 2021 files are told apart."""
    from vepe.evaluation.posetrack import PoseTrackMatch

    _one_source(pred, model, images, conf, input_px, window)
    if report is not None and find_spec("matplotlib") is None:
        raise VepeError("The report needs matplotlib; install it with: pip install 'vepe[report]'.")
    if report is not None:
        from vepe.evaluation.report import check_report_folder

        check_report_folder(report, overwrite=overwrite)
    if model is None:
        assert pred is not None
        match = PoseTrackMatch.load(gt, pred, protocol=protocol.value)
    else:
        from vepe.cli.model_predictions import ModelRun, with_bar
        from vepe.inference.predictions import LOWEST_TRACKED_SCORE, track_sequences

        assert images is not None
        run = ModelRun(model, device, conf, input_px, window)
        truth, found = track_sequences(
            gt, images, lambda: run.load(LOWEST_TRACKED_SCORE), model, with_bar
        )
        match = PoseTrackMatch.load(truth, found, protocol=protocol.value)
    result = match.result(hota.value)
    for text in result.warnings:
        typer.echo(f"warning: {text}", err=True)
    _print_posetrack(result, per_sequence)
    if json_file is not None:
        _write_json(result.to_dict(), json_file)
    if report is not None:
        from vepe.evaluation.report import write_report

        page = write_report(match, result, report, images=images, overwrite=overwrite)
        typer.echo(f"Report: {page}")


@app.command()
def coco(
    gt: Truth,
    pred: Found = None,
    joints: Annotated[
        Joints, typer.Option(help="'shared' scores the keypoints both sides have by name.")
    ] = Joints.all,
    skeleton: Annotated[
        str | None, typer.Option(help="Keypoints of a plain results list, e.g. posetrack15.")
    ] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="OKS sigmas of all keypoints, with commas between them.")
    ] = None,
    json_file: Report = None,
    model: Model = None,
    images: Images = None,
    device: Device = "auto",
    conf: Conf = None,
    input_px: InputPx = None,
) -> None:
    """OKS average precision of COCO, for any skeleton."""
    from vepe.evaluation.coco import evaluate_coco, sigmas_by_name
    from vepe.evaluation.oks import coco_oks_ap

    _one_source(pred, model, images, conf, input_px)
    given = sigmas_by_name(sigmas, gt) if sigmas else None
    with _warnings_as_lines():
        if model is None:
            assert pred is not None
            result = evaluate_coco(gt, pred, joints.value, skeleton=skeleton, sigmas=given)
        else:
            truth, found = _run_on_pictures(gt, images, model, device, conf, input_px)
            result = coco_oks_ap(truth, found, joints.value, sigmas=given)
    _finish(result.to_dict(), json_file)


@app.command()
def crowdpose(
    gt: Truth,
    pred: Found = None,
    json_file: Report = None,
    model: Model = None,
    images: Images = None,
    device: Device = "auto",
    conf: Conf = None,
    input_px: InputPx = None,
) -> None:
    """CrowdPose's average precision: all, easy, medium and hard pictures."""
    from vepe.evaluation.coco import crowdpose_ap, evaluate_crowdpose

    _one_source(pred, model, images, conf, input_px)
    with _warnings_as_lines():
        if model is None:
            assert pred is not None
            result = evaluate_crowdpose(gt, pred)
        else:
            truth, found = _run_on_pictures(gt, images, model, device, conf, input_px)
            result = crowdpose_ap(truth, found)
    _finish(result.to_dict(), json_file)


def _run_on_pictures(
    gt: Path,
    images: Path | None,
    model: str,
    device: str,
    conf: float | None,
    input_px: int | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ground truth of single pictures, and what the model finds in them."""
    from vepe.cli.model_predictions import ModelRun, with_bar
    from vepe.evaluation.coco import read_json
    from vepe.inference.predictions import LOWEST_SCORE, predict_pictures

    assert images is not None
    truth, run = read_json(gt), ModelRun(model, device, conf, input_px)
    return truth, predict_pictures(truth, gt, images, lambda: run.load(LOWEST_SCORE), with_bar)


def _one_source(
    pred: Path | None, model: str | None, images: Path | None, *settings: float | None
) -> None:
    """Raises VepeError unless there is one source of predictions; `settings` are a model's."""
    if (pred is None) == (model is None):
        raise VepeError("Give either --pred with predictions, or --model with --images.")
    if model is not None and images is None:
        raise VepeError("--model needs --images: the folder that the picture names start from.")
    if model is None and any(value is not None for value in settings):
        raise VepeError("--conf, --input-px and --window are settings of --model; leave them out.")


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        typer.echo(f"warning: {warning.message}", err=True)


def _print_posetrack(result: PoseTrackResult, per_sequence: bool) -> None:
    c = result.counts
    typer.echo(
        f"{result.protocol}: {c.sequences} sequences, {c.frames} labelled frames, {c.people} people"
    )
    typer.echo(" " * 10 + "".join(f"{n:>8s}" for n in result.ap.columns()))
    rows: dict[str, JointTable | None] = {
        "AP": result.ap, "precision": result.precision, "recall": result.recall,
        "MOTA": result.mota, "MOTP": result.motp, "MOT prec.": result.mot_precision,
        "MOT rec.": result.mot_recall, "MOTP mm.": result.motp_motmetrics,
    }  # fmt: skip
    for name, table in rows.items():
        if table is not None:
            values = "".join(f"{v:8.2f}" for v in table.columns().values())
            typer.echo(f"{name:10s}{values}")
    if result.hota is not None:
        typer.echo(f"HOTA ({result.hota_rule} rule)  {_hota_line(result)}")
    if per_sequence:
        for name, scores in result.sequences.items():
            mota = f"  MOTA {scores.mota.total:.2f}" if scores.mota else ""
            hota = f"  HOTA {scores.hota['HOTA']:.2f}" if scores.hota else ""
            typer.echo(f"{name}: {scores.counts.frames} frames, {scores.counts.people} people,"
                       f" AP {scores.ap.total:.2f}{mota}{hota}")  # fmt: skip


def _hota_line(scores: PoseTrackScores) -> str:
    names = ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA")
    return "  ".join(f"{n} {scores.hota[n]:.2f}" for n in names) if scores.hota else ""


def _finish(values: dict[str, Any], json_file: Path | None) -> None:
    for name, value in values.items():
        if name == "joints":
            value = f"{len(value)}: {', '.join(value)}"
        typer.echo(f"{name:12s}{value:.3f}" if isinstance(value, float) else f"{name:12s}{value}")
    if json_file is not None:
        _write_json(values, json_file)


def _write_json(values: Any, path: Path) -> None:
    from vepe.formats.files import replacing

    with replacing(path) as beside:
        beside.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
