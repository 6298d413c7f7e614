"""`vepe data`: check data sets and pack them into shards."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.help_pages import examples
from vepe.cli.output import echo
from vepe.cli.progress import with_bar
from vepe.cli.spread import Address, On, Spread, Workers, make_parts
from vepe.errors import VepeError, VepeWarning, counted

if TYPE_CHECKING:
    from vepe.data.shards import ShardPlan
    from vepe.formats.dataset_rules import DatasetFinding

app = typer.Typer(no_args_is_help=True, help="Check data sets and pack them into shards.")


@app.callback()
def data() -> None:
    """Check data sets and pack them into shards."""


@app.command(epilog=examples("vepe data check data/posetrack", "vepe data check mine --quick"))
def check(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of the data set.", show_default=False),
    ],
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Whether to check the images too.")
    ] = True,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Inspect only the two ends of images; do not decode them."),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Print at most this many findings (0: all).")
    ] = 50,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole report to this file.")
    ] = None,
    old_images: Annotated[
        bool | None, typer.Option("--pictures/--no-pictures", hidden=True)
    ] = None,
) -> None:
    """Check that a PoseTrack17, 18, 21 or COCO data set is complete and consistent.

    Exit code 0: no problems; 1: problems were found; 2: it cannot be checked.
    """
    from vepe.formats.dataset_check import TITLES, check_dataset
    from vepe.formats.files import check_repeatable, dump_json, real_path

    if old_images is not None:
        message = "--pictures is now called --images; the old name will go in version 0.3."
        warnings.warn(message, VepeWarning, stacklevel=2)
        images = old_images
    if json_file is not None:
        inside = real_path(directory) in real_path(json_file).parents
        if json_file.exists() and (inside or real_path(json_file) == real_path(directory)):
            raise VepeError(f"'{json_file}' is part of the data; name another file for --json.")
        check_repeatable(json_file)
    report = check_dataset(directory, images=images, decode=not quick, progress=_progress)
    kinds = " and ".join(TITLES[kind] for kind in report.formats) or "unreadable"
    echo(f"{directory}: {kinds}")
    for name, counts in report.splits.items():
        echo(f"  {name}: {counts.line()}")
    lines = grouped_lines(sorted(report.findings, key=lambda f: f.level == "note"))
    for line in lines[: limit or None]:
        echo(line)
    if limit and len(lines) > limit:
        echo(f"... and {len(lines) - limit} more; print all with --limit 0.")
    if json_file is not None:
        dump_json(json_file, report.to_dict())
    problems = sum(f.count for f in report.problems)
    echo(f"{counted(problems, 'problem')} found." if problems else "No problems found.")
    if problems:
        raise typer.Exit(1)


def grouped_lines(findings: Sequence[DatasetFinding]) -> list[str]:
    """One line for each kind of finding: the first, and in how many other places there are more.

    Findings with one level and one fix are of one kind.
    """
    groups: dict[tuple[str, str], list[DatasetFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.level, finding.fix), []).append(finding)
    lines = []
    for (level, fix), group in groups.items():
        first, others = group[0], len(group) - 1
        if not others:
            lines.append(first.line())
            continue
        more = sum(finding.count for finding in group) - 1
        lines.append(
            f"{level}: {first.place}: {first.text} (and {more} more, also in "
            f"{counted(others, 'other file')}; --json lists all). {fix}"
        )
    return lines


@app.command(epilog=examples("vepe data shard annotations/train --images images -o shards/train"))
def shard(
    annotations: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Annotation files (PoseTrack17, 18, 21 or COCO-like), or a folder of them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the shards.", show_default=False)
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder that image names are relative to, or one above it."),
    ] = None,
    stills: Annotated[
        bool, typer.Option("--stills/--video", help="Single images, or frames of videos.")
    ] = False,
    megabytes: Annotated[float, typer.Option(min=1, help="Size of a shard in megabytes.")] = 1000,
    fps: Annotated[
        float, typer.Option(min=0.1, help="Frames per second of videos without timestamps.")
    ] = 25,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete/--incomplete",
            help="Whether all people in a labelled image are labelled, if the labels do not say.",
        ),
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if an image is missing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing shards.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Skip shards that were written already from the same labels and images.",
        ),
    ] = False,
    on: On = None,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Pack a labelled data set into tar shards, to train from few large files or a server."""
    spread = Spread.of(on, address=address, workers=workers)
    from vepe.data.images import ImageIndex, LabelPolicy
    from vepe.data.read_labels import annotation_files, read_label_files
    from vepe.data.shards import ShardPlan
    from vepe.formats.annotations import skeleton_named
    from vepe.formats.folder_lock import locked_folder

    files = annotation_files(annotations)
    index = read_label_files(files, (images or files[0].parent).absolute(), single=stills)
    labelled = ImageIndex([index], skeleton_named(index.keypoints), LabelPolicy(fps=fps))
    labelled = labelled.drop_missing(strict=strict, title=str(annotations[0]))
    if stills:
        labelled = labelled.labelled()
    plan = ShardPlan.of(out.absolute(), labelled, megabytes=megabytes, complete=complete)
    with locked_folder(plan.folder):
        todo = plan.todo(overwrite=overwrite, resume=resume)
        if spread.on is None:
            for number in with_bar(todo, "Packing"):
                plan.write(number)
        else:
            _write_shards_on(spread, plan, todo)
        plan.finish()
    for path in (out / plan.path(number).name for number in range(len(plan.rows))):
        echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    echo(f"{len(labelled)} images, {int(labelled.people_counts().sum())} people.")


def _write_shards_on(spread: Spread, plan: ShardPlan, todo: Sequence[int]) -> None:
    """Writes shards on a cluster, each as one task."""
    from vepe.cluster.parts import PartWork

    make_parts(
        PartWork({plan.path(number).stem: number for number in todo}, plan.open_writer),
        spread,
        command="vepe data shard",
        what="shards",
        folder=plan.folder,
        done=len(plan.rows) - len(todo),
        about={"images": len(plan.images)},
    )


def _progress(files: list[Path]) -> Iterable[Path]:
    """The files with a progress bar on stderr, if that is a terminal."""
    return with_bar(files, "Checking")
