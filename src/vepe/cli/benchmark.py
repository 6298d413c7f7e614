"""`vepe benchmark`: how long a frame takes, by model, backend, size, people and batch."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.cli.options import prepare_device, split
from vepe.cli.output import echo, note

if TYPE_CHECKING:
    from vepe.inference.timing import Timing
    from vepe.types import Frame

CLIP = Path(__file__).parents[3] / "assets" / "store_aisle.mp4"


class Clock(StrEnum):
    """What `--clock` takes."""

    WALL = "wall"
    CPU = "cpu"


def _numbers(option: str, text: str | None) -> list[int | None]:
    """Whole numbers of at least 1, separated by commas; [None] where the option was not given."""
    if text is None:
        return [None]
    values = split([text])
    if not values or not all(re.fullmatch(r"0*[1-9][0-9]{0,4}", value) for value in values):
        raise typer.BadParameter(
            f"{option} takes whole numbers from 1 to 99999, such as 1,4; got '{text}'"
        )
    return [int(value) for value in values]


def benchmark(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="VIDEO",
            help="Video whose frames are used.",
            show_default="a clip of a shop, in a clone",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="MODEL,...", help="Presets or files of models.")
    ] = "vepe-n",
    backend: Annotated[
        str, typer.Option(metavar="BACKEND,...", help="auto, onnxruntime, openvino, torch.")
    ] = "auto",
    imgsz: Annotated[
        str | None,
        typer.Option(
            metavar="PX,...",
            help="Longer sides of the network's input.",
            show_default="the model's",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="FRAMES,...", help="Frames of the window.", show_default="the model's"
        ),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,...",
            help="Numbers of made-up people for the tracker, in place of the clip's. The network's "
            "time does not depend on people.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        str, typer.Option(metavar="STREAMS,...", help="Numbers of streams that share a step.")
    ] = "1",
    frames: Annotated[int, typer.Option(min=6, help="Frames of the video to use.")] = 50,
    repeats: Annotated[int, typer.Option(min=1, max=99_999, help="How often they are run.")] = 1,
    clock: Annotated[
        Clock,
        typer.Option(help="wall: time that passes; cpu: CPU time of all threads."),
    ] = Clock.WALL,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="Also print what each part of the network takes, of exported models in ONNX "
            "Runtime.",
        ),
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write everything as JSON."),
    ] = None,
) -> None:
    """Measure how long a frame takes, with the tracker, on this machine.

    Lists with commas compare all their combinations in one run, interleaved frame by frame; the
    last column is the median ratio to the first row. Times are for one frame of one live stream
    (no lookahead). Quote the medians, and close other programs.
    """
    sizes, windows = _numbers("--imgsz", imgsz), _numbers("--window", window)
    crowds, batches = _numbers("--people", people), _numbers("--batch", batch)
    clip = source or str(CLIP)
    if source is None and not CLIP.is_file():
        raise typer.BadParameter("give a VIDEO; the clip that is the default is only in a clone")
    if json is not None:
        from vepe.formats.files import check_repeatable

        check_repeatable(json, [Path(clip), *map(Path, split([model]))])
    prepare_device("auto")  # as every command that runs a model does
    from vepe.inference.timing import WARM_UP, Setup, describe_machine, read_frames, time_output
    from vepe.inference.timing import benchmark as run

    machine = describe_machine()
    setups = [
        Setup(m, b, size, w, p, n or 1)
        for m, b, size, w, p, n in product(
            split([model]), split([backend]), sizes, windows, crowds, batches
        )
    ]
    images, decoding = read_frames(clip, frames)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=repeats * len(images))
        timings = run(
            setups,
            images,
            repeats=repeats,
            warm_up=min(WARM_UP, repeats * len(images) // 2),
            clock=clock.value,
            on_frame=lambda: progress.advance(task),
        )
    video = {"decode": decoding, **time_output(images)}
    _print(machine, clip, images, timings, video, clock)
    spread = _parts(timings, images) if parts else {}
    if json is not None:
        _write(json, machine, clip, images, timings, video, clock, spread)


def _print(
    machine: dict[str, str],
    clip: str,
    frames: list[Frame],
    timings: list[Timing],
    video: dict[str, list[float]],
    clock: Clock,
) -> None:
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vepe.errors import printable
    from vepe.inference.timing import STAGES, peak_memory_mb

    for key, value in machine.items():
        echo(f"{key}: {value}")
    height, width = frames[0].image.shape[:2]
    echo(f"video: {Path(clip).name}, {len(frames)} frames, {width} x {height}")
    table = Table(box=None, pad_edge=False, title=None)
    table.add_column("model", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    headings = (
        "precision",
        "input",
        "window",
        "people",
        "batch",
        "ms",
        "p95",
        "frames/s",
        *STAGES,
        "ratio",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for timing in timings:
        values = timing.to_dict()
        stages = [f"{values['stages_ms'][name]:.1f}" for name in STAGES]
        table.add_row(
            escape(printable(values["model"])),
            values["backend"],
            values["precision"],
            "x".join(str(side) for side in timing.input_wh),
            str(values["window"]),
            "clip's" if values["people"] is None else str(values["people"]),
            str(values["batch"]),
            f"{values['median_ms']:.1f}",
            f"{values['p95_ms']:.1f}",
            f"{values['frames_per_s']:.1f}",
            *stages,
            f"{timing.ratio(timings[0]):.2f}",
        )
    Console(width=160).print(table)
    spent = ", ".join(f"{name} {np.median(values):.1f}" for name, values in video.items())
    echo(f"per frame of the video, ms that pass: {spent}")
    if (memory := peak_memory_mb()) is not None:
        echo(f"most memory of this process, all rows together: {memory:.0f} MB")
    kind = "CPU time of all threads" if clock is Clock.CPU else "time that passes"
    note(f"Medians for one frame of one stream, {kind}; stages add up to about the whole.")


def _parts(timings: list[Timing], frames: list[Frame]) -> dict[str, dict[str, float]]:
    """Prints and returns what the parts of each exported model take, by its name."""
    from vepe.inference.backends import exported_file
    from vepe.inference.exported import interface_of
    from vepe.inference.model_files import ONNX_SUFFIX, read_card, read_metadata
    from vepe.inference.network_parts import time_parts

    result: dict[str, dict[str, float]] = {}
    for timing in timings:
        model, file = timing.setup.model, exported_file(timing.setup.model)
        if model in result or file is None or file.suffix != ONNX_SUFFIX:
            continue
        interface = interface_of(read_metadata(file), file)
        images = [frame.image for frame in frames]
        result[model] = time_parts(
            file, interface, read_card(file).config, images, timing.setup.imgsz
        )
        whole = sum(result[model].values())
        spent = ", ".join(f"{name} {ms:.1f}" for name, ms in result[model].items() if ms >= 0.05)
        echo(f"{model} in ONNX Runtime, ms by its profiler: {spent}; in all {whole:.1f}")
    return result


def _write(
    path: Path,
    machine: dict[str, str],
    clip: str,
    frames: list[Frame],
    timings: list[Timing],
    video: dict[str, list[float]],
    clock: Clock,
    parts: dict[str, dict[str, float]],
) -> None:
    import numpy as np

    from vepe.formats.files import dump_json
    from vepe.inference.timing import peak_memory_mb

    document: dict[str, Any] = {
        "machine": machine,
        "video": Path(clip).name,
        "frames": len(frames),
        "clock": clock.value,
        "network_parts_ms": parts,
        "peak_memory_mb": peak_memory_mb(),
        "setups": [timing.to_dict() | {"ratio": timing.ratio(timings[0])} for timing in timings],
        "video_ms": {name: float(np.median(values)) for name, values in video.items()},
    }
    dump_json(path, document)
