"""`vepe predict`: poses of the people in single images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.options import (
    Backend,
    Device,
    Flip,
    ImageSize,
    InputPx,
    Model,
    image_size,
    nobody,
    prepare_device,
)
from vepe.cli.output import Quiet, echo, loading, note
from vepe.cli.progress import with_bar
from vepe.errors import VepeError, check_name, counted
from vepe.inference import DEFAULT_CONF, DEFAULT_MODEL

_SKIPPED, _INTERRUPTED = 2, 130
_HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})

if TYPE_CHECKING:
    import numpy as np

    from vepe.formats.coco_writer import ResultImage
    from vepe.inference.predictor import Predictor
    from vepe.types import FramePoses


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="Image files, or folders of them.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The JSON file to write.", show_default=False)
    ],
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Also write the images with skeletons to this folder (people with a score of at "
            f"least {DEFAULT_CONF}).",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    backend: Backend = "auto",
    device: Device = "auto",
    conf: Annotated[
        float, typer.Option(help="Lowest person score to write; 0.01 for `vepe evaluate`.")
    ] = DEFAULT_CONF,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results, but never source images.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Estimate the poses of the people in single images; writes COCO results.

    The results include file and keypoint names. Damaged images are skipped and listed, and the exit
    code is 2. Ctrl-C stops early and writes what is finished.
    """
    input_size = image_size(imgsz, input_px)
    with loading(model):
        from vepe.formats.coco_writer import write_coco_results

        work = _plan(images, output, draw, overwrite=overwrite, weights=Path(model))
        from vepe.inference.predictor import load

        prepare_device(device)
        predictor = load(
            model, backend=backend, device=device, conf=conf, input_px=input_size, flip=flip
        )
    outcome = _process(predictor, work)
    if outcome.done:
        write_coco_results(output, predictor.skeleton, outcome.done)
    for sentence in outcome.skipped if outcome.done else ():
        echo(f"vepe: Skipped: {sentence}", err=True)
    if outcome.failure is not None:
        raise outcome.failure
    if outcome.done:
        people = sum(len(poses) for _, poses in outcome.done)
        early = " (stopped early)" if outcome.stopped else ""
        drawn = f", {draw}" if draw else ""
        images_done = counted(len(outcome.done), "image")
        note(f"{images_done}{early}, {counted(people, 'person', 'people')}: {output}{drawn}")
        if not people:
            note(f"vepe: {nobody(conf, model)}", err=True)
    elif outcome.stopped:
        note("Stopped before the first image was finished; nothing was written.")
    if outcome.stopped or outcome.skipped:
        raise typer.Exit(_INTERRUPTED if outcome.stopped else _SKIPPED)


@dataclass(frozen=True)
class _Work:
    """One image: its file, its name in the result, the file of its drawing, if any, and why it
    cannot be read, if that is known before the work."""

    path: Path
    name: str
    drawing: Path | None
    problem: VepeError | None


@dataclass
class _Outcome:
    """Finished images; why others were skipped; what ended the work early, if anything."""

    done: list[tuple[ResultImage, FramePoses]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stopped: bool = False
    failure: VepeError | None = None


def _plan(
    inputs: list[Path], output: Path, draw: Path | None, *, overwrite: bool, weights: Path
) -> list[_Work]:
    """The images to process, after all checks that are possible before the work.

    Raises:
        VepeError: where an input is no image, or a result cannot be written.
    """
    from vepe.formats.files import check_targets, real_path

    named = named_images(inputs)
    for _, name in named:
        check_name(name)
    problems = [_problem(path) for path, _ in named]
    for problem, (path, _) in zip(problems, named, strict=True):
        # One bad file of a folder is skipped; what was named itself, or all there is, is an error.
        if problem is not None and (path in inputs or all(problems)):
            raise problem
    if output.is_dir():
        raise VepeError(f"'{output}' is a folder; name a file such as {output / 'poses.json'}.")
    if draw is not None and draw.exists() and not draw.is_dir():
        raise VepeError(f"'{draw}' is a file, not a folder; name a folder for the drawings.")
    drawings = drawing_paths(draw, [name for _, name in named]) if draw is not None else []
    if real_path(output) in {real_path(drawing) for drawing in drawings}:
        raise VepeError(
            f"'{output}' is the file of a drawing, too; name another file for the poses."
        )
    sources = [*(path for path, _ in named), weights]
    check_targets([output, *drawings], sources, overwrite=overwrite)
    if output.suffix.lower() not in ("", ".json"):
        raise VepeError(
            f"`vepe predict` writes JSON, not '{output.suffix}'; name a file such as "
            f"'{output.with_suffix('.json')}', and convert it with `vepe convert`."
        )
    places: list[Path | None] = [*drawings] or [None] * len(named)
    return [
        _Work(*entry, place, problem)
        for entry, place, problem in zip(named, places, problems, strict=True)
    ]


def named_images(inputs: list[Path]) -> list[tuple[Path, str]]:
    """Every image with its name in the result: its file's, or its path where two share that.

    Raises:
        VepeError: where an input does not exist, or a folder holds no image.
    """
    from collections import Counter

    paths = list(dict.fromkeys(path for entry in inputs for path in _images_of(entry)))
    counts = Counter(path.name for path in paths)
    return [(path, path.name if counts[path.name] == 1 else path.as_posix()) for path in paths]


def _images_of(entry: Path) -> list[Path]:
    from vepe.video.images import VIDEO_SUFFIXES, list_images

    if entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():
        raise VepeError(f"'{entry}' is a video; for its poses: vepe track '{entry}'.")
    try:
        return list_images(entry)
    except VepeError:
        if entry.is_dir() and any(p.suffix.lower() in _HEIC_SUFFIXES for p in entry.iterdir()):
            raise VepeError(
                f"The folder '{entry}' holds HEIC images, which VEPE does not read; convert them "
                "to JPEG first."
            ) from None
        raise


def _problem(path: Path) -> VepeError | None:
    """The error where the file does not begin like an image."""
    from vepe.video.images import image_size

    try:
        image_size(path)
    except VepeError as error:
        if _is_heic(path):
            return VepeError(
                f"'{path}' is a HEIC image, which VEPE does not read; convert it to JPEG first."
            )
        return error
    return None


def _is_heic(path: Path) -> bool:
    """Whether the file's content is HEIC (ISO 23008-12), whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS


def drawing_paths(folder: Path, names: list[str]) -> list[Path]:
    """Files of the drawings, all different: JPEG for JPEG, else PNG.

    `a.bmp` goes to `a.png`; next to an `a.png` both keep their whole names: `a.bmp.png`.
    """
    from collections import Counter

    flat = [Path(name.strip("/").replace("/", "_")) for name in names]
    endings = [".jpg" if p.suffix.lower() in (".jpg", ".jpeg") else ".png" for p in flat]
    plain = [p.stem + ending for p, ending in zip(flat, endings, strict=True)]
    counts = Counter(name.lower() for name in plain)  # some file systems ignore case
    taken: set[str] = set()
    paths = []
    for path, ending, name in zip(flat, endings, plain, strict=True):
        base = path.stem if counts[name.lower()] == 1 else path.name
        number, target = 1, base + ending
        while target.lower() in taken:
            number += 1
            target = f"{base}-{number}{ending}"
        taken.add(target.lower())
        paths.append(folder / target)
    return paths


def _process(predictor: Predictor, work: list[_Work]) -> _Outcome:
    """Runs the model on all images, until Ctrl-C or an error that would hit every further image.

    Damaged images are skipped; where none can be read, the first one's error is the failure.
    """
    from vepe.formats.coco_writer import ResultImage
    from vepe.video.images import read_image
    from vepe.viz.drawing import draw_poses

    outcome, damage = _Outcome(), []
    try:
        for item in with_bar(work, "images", transient=True):
            try:
                if item.problem is not None:
                    raise item.problem
                image = read_image(item.path)
            except VepeError as error:
                damage.append(error)
                continue
            poses = predictor.predict(image).poses  # without the image, which would stay
            if item.drawing is not None:
                clear = poses.select(poses.scores >= DEFAULT_CONF)
                _save(draw_poses(image, clear, predictor.skeleton), item.drawing)
            record = ResultImage(item.name, image.shape[1], image.shape[0])
            outcome.done.append((record, poses))
    except KeyboardInterrupt:
        outcome.stopped = True
    except VepeError as error:
        outcome.failure = error
    outcome.skipped = [str(error) for error in damage]
    if damage and not outcome.done and not outcome.stopped:
        outcome.failure = outcome.failure or damage[0]
    return outcome


def _save(image: np.ndarray, path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    from vepe.formats.files import write_bytes

    encoded = BytesIO()  # Pillow ignores short writes to a file on a full disk.
    Image.fromarray(image).save(encoded, "JPEG" if path.suffix == ".jpg" else "PNG", quality=92)
    write_bytes(path, encoded.getvalue())
