"""`vepe evaluate`: scores predictions as PoseTrack, COCO and CrowdPose do."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vepe.evaluation.coco import CocoResult, CrowdPoseResult

app = typer.Typer(
    no_args_is_help=True, help="Score predictions as PoseTrack, COCO and CrowdPose do."
)


class Joints(str, Enum):  # noqa: UP042 - typer shows the plain values
    """Which keypoints count."""

    all = "all"
    shared = "shared"


Truth = Annotated[Path, typer.Option("--gt", help="Ground truth file.")]
Found = Annotated[Path | None, typer.Option("--pred", help="Prediction file.")]
Report = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")]


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
    json_file: Report = None,
) -> None:
    """OKS average precision of COCO, for any skeleton."""
    from vepe.errors import VepeError
    from vepe.evaluation.coco import evaluate_coco

    if pred is None:
        raise VepeError("Give --pred FILE.")
    result = evaluate_coco(gt, pred, joints.value, skeleton=skeleton)
    _finish(result, json_file)


@app.command()
def crowdpose(gt: Truth, pred: Found = None, json_file: Report = None) -> None:
    """CrowdPose's average precision: all, easy, medium and hard pictures."""
    from vepe.errors import VepeError
    from vepe.evaluation.coco import evaluate_crowdpose

    if pred is None:
        raise VepeError("Give --pred FILE.")
    _finish(evaluate_crowdpose(gt, pred), json_file)


def _finish(result: CocoResult | CrowdPoseResult, json_file: Path | None) -> None:
    values = result.to_dict()
    for name, value in values.items():
        if name == "joints":
            value = f"{len(value)}: {', '.join(value)}"
        typer.echo(f"{name:12s}{value:.3f}" if isinstance(value, float) else f"{name:12s}{value}")
    if json_file is not None:
        _write_json(values, json_file)


def _write_json(values: Any, path: Path) -> None:
    """Writes beside and renames, so that no half file is left."""
    import json

    from vepe.errors import VepeError

    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise VepeError(f"'{path}' cannot be written: {error.strerror}.") from None
