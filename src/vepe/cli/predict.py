"""`vepe predict`: poses of single pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.inference.defaults import DEFAULT_CONF, DEFAULT_MODEL

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
        str, typer.Option(help="A model with bundled weights, or a .safetensors file.")
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
) -> None:
    """Find the people of single pictures; writes COCO results with file and joint names."""
    from vepe.errors import VepeError
    from vepe.formats.coco_writer import write_coco_results
    from vepe.inference.predictor import load
    from vepe.video.images import image_size

    named = named_pictures(pictures)
    for path, _ in named:
        image_size(path)  # what is no picture is told before the work, not after
    if output.is_dir():
        raise VepeError(f"'{output}' is a folder; name a file such as {output / 'poses.json'}.")
    if draw is not None:
        _check_drawings(draw, named)
    predictor = load(model, device=device, conf=conf, input_px=input_px)
    people = 0

    def counted() -> Iterator[tuple[Picture, FramePoses]]:
        nonlocal people
        for picture, poses in _predicted(predictor, named, draw):
            people += len(poses)
            yield picture, poses

    write_coco_results(output, predictor.skeleton, counted())
    drawn = f", {draw}" if draw else ""
    typer.echo(f"{len(named)} pictures, {people} people: {output}{drawn}")


def named_pictures(given: list[Path]) -> list[tuple[Path, str]]:
    """Every picture with its name in the result: its file's, or its path where two share that.

    Raises:
        VepeError: where something given is not there, or a folder holds no picture.
    """
    from vepe.video.images import list_images

    paths = list(dict.fromkeys(path for entry in given for path in list_images(entry)))
    often = Counter(path.name for path in paths)
    return [(path, path.name if often[path.name] == 1 else path.as_posix()) for path in paths]


def _predicted(
    predictor: Predictor, named: list[tuple[Path, str]], draw: Path | None
) -> Iterator[tuple[Picture, FramePoses]]:
    from rich.console import Console
    from rich.progress import track

    from vepe.formats.coco_writer import Picture
    from vepe.video.images import read_image
    from vepe.viz.drawing import draw_poses

    console = Console(stderr=True)
    quiet = not console.is_terminal
    for path, name in track(named, "pictures", console=console, transient=True, disable=quiet):
        image = read_image(path)
        poses = predictor.predict(image)
        if draw is not None:
            clear = poses.select(poses.scores >= DEFAULT_CONF)
            _save(draw_poses(image, clear, predictor.skeleton), drawing_path(draw, name))
        yield Picture(name, image.shape[1], image.shape[0]), poses


def drawing_path(folder: Path, name: str) -> Path:
    """Where the drawing of a picture goes: JPEG for JPEG, else PNG."""
    flat = Path(name.strip("/").replace("/", "_"))
    return folder / flat.with_suffix(".jpg" if flat.suffix.lower() in (".jpg", ".jpeg") else ".png")


def _check_drawings(folder: Path, named: list[tuple[Path, str]]) -> None:
    """Raises VepeError where a drawing would replace a picture, or the folder is a file."""
    from vepe.errors import VepeError

    if folder.exists() and not folder.is_dir():
        raise VepeError(f"'{folder}' is a file, not a folder; name a folder for the drawings.")
    sources = {path.resolve() for path, _ in named}
    for _, name in named:
        if drawing_path(folder, name).resolve() in sources:
            raise VepeError(f"Drawing into '{folder}' would replace the pictures; name another.")


def _save(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    from vepe.formats.files import replacing

    with replacing(path) as beside:
        Image.fromarray(image).save(beside, "JPEG" if path.suffix == ".jpg" else "PNG", quality=92)
