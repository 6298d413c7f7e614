"""`vepe predict`: poses of single pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.errors import VepeError
from vepe.inference.defaults import DEFAULT_CONF, DEFAULT_MODEL

_SKIPPED, _INTERRUPTED = 2, 130
_HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})

if TYPE_CHECKING:
    import numpy as np

    from vepe.formats.coco_writer import Picture
    from vepe.inference.predictor import Predictor
    from vepe.types import FramePoses


def predict(
    pictures: Annotated[
        list[Path], typer.Argument(help="Picture files, or folders of them.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The JSON file to write.", show_default=False)
    ],
    draw: Annotated[
        Path | None,
        typer.Option(
            help=f"Also write the pictures with skeletons to this folder (people of {DEFAULT_CONF} "
            "and more).",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A model with bundled weights, a .safetensors file, or hf://OWNER/REPO."),
    ] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    conf: Annotated[
        float, typer.Option(help="Lowest person score; 0.01 for `vepe evaluate`.")
    ] = DEFAULT_CONF,
    input_px: Annotated[
        int | None,
        typer.Option(
            help="Longer side of the network's input; more finds smaller people, more slowly.",
            show_default="the model's",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there; never pictures.")
    ] = False,
) -> None:
    """Find the people of single pictures; writes COCO results with file and joint names.

    A picture that turns out to be damaged is skipped and named, and the exit code is 2. Ctrl-C
    ends early and keeps what was done.
    """
    from vepe.formats.coco_writer import write_coco_results
    from vepe.inference.predictor import load

    work = _planned(pictures, output, draw, overwrite=overwrite, weights=Path(model))
    predictor = load(model, device=device, conf=conf, input_px=input_px)
    outcome = _predicted(predictor, work)
    if outcome.done:
        write_coco_results(output, predictor.skeleton, outcome.done)
    for sentence in outcome.skipped if outcome.done else ():
        typer.echo(f"vepe: Skipped: {sentence}", err=True)
    if outcome.failure is not None:
        raise outcome.failure
    if outcome.done:
        people = sum(len(poses) for _, poses in outcome.done)
        early = " (stopped early)" if outcome.stopped else ""
        drawn = f", {draw}" if draw else ""
        typer.echo(f"{len(outcome.done)} pictures{early}, {people} people: {output}{drawn}")
    elif outcome.stopped:
        typer.echo("Stopped before the first picture was done; nothing was written.")
    if outcome.stopped or outcome.skipped:
        raise typer.Exit(_INTERRUPTED if outcome.stopped else _SKIPPED)


@dataclass(frozen=True)
class _Work:
    """One picture: its file, its name in the result, and where its drawing goes, if anywhere."""

    path: Path
    name: str
    drawing: Path | None


@dataclass
class _Outcome:
    """What was done; why pictures were skipped; what ended it early, if anything."""

    done: list[tuple[Picture, FramePoses]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stopped: bool = False
    failure: VepeError | None = None


def _planned(
    pictures: list[Path], output: Path, draw: Path | None, *, overwrite: bool, weights: Path
) -> list[_Work]:
    """The work, after everything that can be refused before it was looked at.

    Raises:
        VepeError: where something given is no picture, or a result cannot go where it is to.
    """
    from vepe.formats.files import check_targets

    named = named_pictures(pictures)
    for path, _ in named:
        _check_picture(path)  # what is no picture is told before the work, not after
    if output.is_dir():
        raise VepeError(f"'{output}' is a folder; name a file such as {output / 'poses.json'}.")
    if draw is not None and draw.exists() and not draw.is_dir():
        raise VepeError(f"'{draw}' is a file, not a folder; name a folder for the drawings.")
    drawings = drawing_paths(draw, [name for _, name in named]) if draw is not None else []
    if output.resolve() in {drawing.resolve() for drawing in drawings}:
        raise VepeError(f"'{output}' is to be a drawing, too; name another file for the poses.")
    sources = [*(path for path, _ in named), weights]
    check_targets([output, *drawings], sources, overwrite=overwrite)
    places: list[Path | None] = [*drawings] or [None] * len(named)
    return [_Work(*entry, place) for entry, place in zip(named, places, strict=True)]


def named_pictures(given: list[Path]) -> list[tuple[Path, str]]:
    """Every picture with its name in the result: its file's, or its path where two share that.

    Raises:
        VepeError: where something given is not there, or a folder holds no picture.
    """
    from collections import Counter

    paths = list(dict.fromkeys(path for entry in given for path in _pictures_of(entry)))
    often = Counter(path.name for path in paths)
    return [(path, path.name if often[path.name] == 1 else path.as_posix()) for path in paths]


def _pictures_of(entry: Path) -> list[Path]:
    from vepe.video.images import list_images

    try:
        return list_images(entry)
    except VepeError:
        if entry.is_dir() and any(p.suffix.lower() in _HEIC_SUFFIXES for p in entry.iterdir()):
            raise VepeError(
                f"The folder '{entry}' holds HEIC pictures, which VEPE does not read; convert them "
                "to JPEG first."
            ) from None
        raise


def _check_picture(path: Path) -> None:
    """Raises VepeError where the file's beginning is not that of a picture."""
    from vepe.video.images import image_size

    try:
        image_size(path)
    except VepeError:
        if _is_heic(path):
            raise VepeError(
                f"'{path}' is a HEIC picture, which VEPE does not read; convert it to JPEG first."
            ) from None
        raise


def _is_heic(path: Path) -> bool:
    """Whether a file says of itself that it is HEIC (ISO 23008-12); its name may say otherwise."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS


def drawing_paths(folder: Path, names: list[str]) -> list[Path]:
    """Where the drawings of pictures go, all different: JPEG for JPEG, else PNG.

    `a.bmp` goes to `a.png`; beside an `a.png` both keep their whole names: `a.bmp.png`.
    """
    from collections import Counter

    flat = [Path(name.strip("/").replace("/", "_")) for name in names]
    endings = [".jpg" if p.suffix.lower() in (".jpg", ".jpeg") else ".png" for p in flat]
    plain = [p.stem + ending for p, ending in zip(flat, endings, strict=True)]
    often = Counter(name.lower() for name in plain)  # case is nothing to some file systems
    taken: set[str] = set()
    paths = []
    for path, ending, name in zip(flat, endings, plain, strict=True):
        base = path.stem if often[name.lower()] == 1 else path.name
        number, wanted = 1, base + ending
        while wanted.lower() in taken:
            number += 1
            wanted = f"{base}-{number}{ending}"
        taken.add(wanted.lower())
        paths.append(folder / wanted)
    return paths


def _predicted(predictor: Predictor, work: list[_Work]) -> _Outcome:
    """Does the work until it is done, Ctrl-C, or something that no further picture would mend.

    Of several pictures, damaged ones are skipped; where none can be read, the first one's error is
    the failure.
    """
    from rich.console import Console
    from rich.progress import track

    from vepe.formats.coco_writer import Picture
    from vepe.video.images import read_image
    from vepe.viz.drawing import draw_poses

    console = Console(stderr=True)
    quiet = not console.is_terminal
    outcome, damage = _Outcome(), []
    try:
        for item in track(work, "pictures", console=console, transient=True, disable=quiet):
            try:
                image = read_image(item.path)
            except VepeError as error:
                damage.append(error)
                continue
            poses = predictor.predict(image)
            if item.drawing is not None:
                clear = poses.select(poses.scores >= DEFAULT_CONF)
                _save(draw_poses(image, clear, predictor.skeleton), item.drawing)
            picture = Picture(item.name, image.shape[1], image.shape[0])
            outcome.done.append((picture, poses))
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
