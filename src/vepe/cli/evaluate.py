"""`vepe evaluate`: scores predictions as PoseTrack, COCO and CrowdPose do, and any tracks."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.cli.evaluated_model import (
    Conf,
    Device,
    Images,
    Model,
    SavePred,
    TrackingConf,
    Window,
    load_evaluated,
    model_options,
)
from vepe.cli.help_pages import examples
from vepe.cli.options import Backend, Flip, ImageSize, InputPx
from vepe.cli.output import Quiet, echo, note
from vepe.cli.progress import progress_over
from vepe.cli.score_tables import (
    check_apart,
    check_scores_file,
    print_posetrack,
    print_tracks,
    print_values,
    warnings_as_lines,
    write_scores,
)
from vepe.errors import missing_extra

if TYPE_CHECKING:
    from vepe.evaluation.run_model import ModelOptions

app = typer.Typer(
    no_args_is_help=True,
    help="Score predictions as PoseTrack, COCO and CrowdPose do, and tracks in your own video.",
)


class Joints(str, Enum):  # noqa: UP042 - typer shows the plain values
    all = "all"
    shared = "shared"


class Similarity(str, Enum):  # noqa: UP042
    oks = "oks"
    box = "box"


class Protocol(str, Enum):  # noqa: UP042
    poseval = "poseval"
    posetrack21 = "posetrack21"


GroundTruth = Annotated[Path, typer.Option("--gt", help="Ground truth file.", show_default=False)]
Prediction = Annotated[Path | None, typer.Option("--pred", help="Prediction file.")]
ScoredJoints = Annotated[
    Joints,
    typer.Option("--joints", help="'shared' scores the keypoints that both sides have by name."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Also write the scores to this file.")
]


@app.command(
    epilog=examples(
        "vepe evaluate posetrack --gt annotations/val --pred out",
        "vepe evaluate posetrack --gt annotations/val --model vepe-n --images .",
    )
)
def posetrack(
    gt: Annotated[
        Path,
        typer.Option("--gt", help="Folder of ground truth files, or one.", show_default=False),
    ],
    pred: Annotated[
        Path | None, typer.Option("--pred", help="Folder of prediction files, or one.")
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="Evaluator whose AP is computed: it decides which frames and joints count."
        ),
    ] = Protocol.poseval,
    hota: Annotated[
        str,
        typer.Option(
            metavar="[posetrack21|fixed]",
            help="Count HOTA as the PoseTrack21 kit does, or with its bug fixed.",
        ),
    ] = "posetrack21",
    per_sequence: Annotated[
        bool, typer.Option("--per-sequence", help="Also print a line for each sequence.")
    ] = False,
    json_file: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write an HTML report to this folder.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write --report among other files of its folder.")
    ] = False,
    model: Model = None,
    images: Images = None,
    save_pred: SavePred = None,
    backend: Backend = "auto",
    device: Device = "auto",
    conf: TrackingConf = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    window: Window = None,
    quiet: Quiet = False,
) -> None:
    """AP, MOTA and keypoint HOTA of PoseTrack 2017, 2018 and 2021 (detected from the files)."""
    from vepe.evaluation.posetrack import PoseTrackMatch, current_rule

    check_scores_file(json_file, gt, pred)
    check_apart(json_file, save_pred, report)
    options = model_options(
        pred, model, images, save_pred, backend, device, conf, imgsz, input_px, window, flip=flip
    )
    if report is not None and find_spec("matplotlib") is None:
        raise missing_extra("The report", "matplotlib", "report")
    if report is not None:
        from vepe.evaluation.report import check_report_folder

        check_report_folder(report, overwrite=overwrite)
    with warnings_as_lines():
        rule = current_rule(hota)
    if options is None:
        assert pred is not None
        match = PoseTrackMatch.load(gt, pred, protocol=protocol.value)
    else:
        from vepe.evaluation.run_model import POSETRACK_CONF, track_posetrack

        assert images is not None
        both_sides = track_posetrack(
            gt,
            images,
            lambda: load_evaluated(options, POSETRACK_CONF),
            options.model,
            progress_over,
        )
        options.save(both_sides[1])
        match = PoseTrackMatch.load(*both_sides, protocol=protocol.value)
    result = match.result(rule)
    for text in result.warnings:
        echo(f"warning: {text}", err=True)
    print_posetrack(result, per_sequence)
    if json_file is not None:
        write_scores(result.to_dict(), json_file)
    if report is not None:
        from vepe.evaluation.report import write_report

        page = write_report(match, result, report, images=images, overwrite=overwrite)
        note(f"Report: {page}")


@app.command(
    epilog=examples(
        "vepe evaluate tracks --gt labels.json --pred out/walk.json",
    )
)
def tracks(
    gt: Annotated[
        list[Path],
        typer.Option(
            "--gt",
            help="Labelled sequences: a file or folder of any format that VEPE reads (repeatable).",
            show_default=False,
        ),
    ],
    pred: Annotated[
        list[Path] | None,
        typer.Option("--pred", help="Predicted tracks, likewise (repeatable).", show_default=False),
    ] = None,
    similarity: Annotated[
        Similarity, typer.Option(help="Compare people by keypoints (OKS) or by their boxes.")
    ] = Similarity.oks,
    joints: ScoredJoints = Joints.shared,
    sigmas: Annotated[
        str | None,
        typer.Option(help="OKS sigmas of all keypoints of --gt, separated by commas."),
    ] = None,
    per_sequence: Annotated[
        bool, typer.Option("--per-sequence", help="Also print a line for each sequence.")
    ] = False,
    worst: Annotated[
        int, typer.Option(help="Print this many of the worst frames and people.", min=0)
    ] = 0,
    json_file: JsonFile = None,
    model: Model = None,
    images: Images = None,
    save_pred: SavePred = None,
    backend: Backend = "auto",
    device: Device = "auto",
    conf: TrackingConf = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    window: Window = None,
    quiet: Quiet = False,
) -> None:
    """AP, HOTA, MOTA and IDF1 of tracks, for any skeleton and without head boxes."""
    from vepe.evaluation.track_pairing import read_tracks
    from vepe.evaluation.tracks import evaluate_tracks, sigmas_of

    check_scores_file(json_file, gt, pred)
    check_apart(json_file, save_pred, None)
    options = model_options(
        pred or None,
        model,
        images,
        save_pred,
        backend,
        device,
        conf,
        imgsz,
        input_px,
        window,
        flip=flip,
    )
    with warnings_as_lines():
        labelled = read_tracks(gt)
        by_name = sigmas_of(sigmas, labelled) if sigmas else None
        if options is None:
            assert pred is not None
            predicted = read_tracks(pred)
        else:
            from vepe.evaluation.run_model import POSETRACK_CONF, track_sequences

            assert images is not None
            predicted = track_sequences(
                labelled, images, lambda: load_evaluated(options, POSETRACK_CONF), options.model,
                progress_over,
            )  # fmt: skip
            options.save(predicted)
        result = evaluate_tracks(
            labelled,
            predicted,
            similarity=similarity.value,
            joints=joints.value,
            sigmas=by_name,
            worst=max(worst, 5),
        )
    for text in result.notes:
        echo(f"warning: {text}", err=True)
    print_tracks(result, per_sequence, worst)
    if json_file is not None:
        write_scores(result.to_dict(), json_file)


@app.command(
    epilog=examples(
        "vepe evaluate coco --gt person_keypoints_val2017.json --pred photos.json",
        "vepe evaluate coco --gt labels.json --model vepe-n --images photos --joints shared",
    )
)
def coco(
    gt: GroundTruth,
    pred: Prediction = None,
    joints: ScoredJoints = Joints.all,
    skeleton: Annotated[
        str | None,
        typer.Option(help="Skeleton of a plain list of COCO results, for example posetrack15."),
    ] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="OKS sigmas of all keypoints, separated by commas.")
    ] = None,
    json_file: JsonFile = None,
    model: Model = None,
    images: Images = None,
    save_pred: SavePred = None,
    backend: Backend = "auto",
    device: Device = "auto",
    conf: Conf = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    quiet: Quiet = False,
) -> None:
    """COCO's OKS average precision, for any skeleton."""
    from vepe.evaluation.coco import coco_oks_ap, evaluate_coco, sigmas_by_name

    check_scores_file(json_file, gt, pred)
    check_apart(json_file, save_pred, None)
    options = model_options(
        pred, model, images, save_pred, backend, device, conf, imgsz, input_px, flip=flip
    )
    by_name = sigmas_by_name(sigmas, gt) if sigmas else None
    with warnings_as_lines():
        if options is None:
            assert pred is not None
            result = evaluate_coco(gt, pred, joints.value, skeleton=skeleton, sigmas=by_name)
        else:
            both_sides = _predict(gt, images, options)
            result = coco_oks_ap(
                *both_sides, joints.value, sigmas=by_name, sources=_sources(gt, options)
            )
    print_values(result.to_dict(), json_file)


@app.command(
    epilog=examples(
        "vepe evaluate crowdpose --gt crowdpose_test.json --pred photos.json",
    )
)
def crowdpose(
    gt: GroundTruth,
    pred: Prediction = None,
    json_file: JsonFile = None,
    model: Model = None,
    images: Images = None,
    save_pred: SavePred = None,
    backend: Backend = "auto",
    device: Device = "auto",
    conf: Conf = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    quiet: Quiet = False,
) -> None:
    """CrowdPose's average precision: all, easy, medium and hard images."""
    from vepe.evaluation.coco import crowdpose_ap, evaluate_crowdpose

    check_scores_file(json_file, gt, pred)
    check_apart(json_file, save_pred, None)
    options = model_options(
        pred, model, images, save_pred, backend, device, conf, imgsz, input_px, flip=flip
    )
    with warnings_as_lines():
        if options is None:
            assert pred is not None
            result = evaluate_crowdpose(gt, pred)
        else:
            both_sides = _predict(gt, images, options)
            result = crowdpose_ap(*both_sides, sources=_sources(gt, options))
    print_values(result.to_dict(), json_file)


def _predict(
    gt: Path, images: Path | None, options: ModelOptions
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ground truth and the model's predictions on single images."""
    from vepe.evaluation.run_model import COCO_CONF, predict_coco

    assert images is not None
    gt_and_pred = predict_coco(
        gt, images, lambda: load_evaluated(options, COCO_CONF), progress_over
    )
    options.save(gt_and_pred[1])
    return gt_and_pred


def _sources(gt: Path, options: ModelOptions) -> tuple[str, str]:
    return str(gt), f"The prediction of {options.model}"
