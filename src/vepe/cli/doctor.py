"""`vepe doctor`: what is installed, what this machine can do, and what is missing for the rest."""

from __future__ import annotations

import io
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import typer

from vepe import __version__
from vepe.errors import VepeError, printable
from vepe.inference import DEFAULT_MODEL

State = Literal["ok", "optional", "warning", "broken"]
_MARKS: dict[State, str] = {
    "ok": "[green]ok[/]",
    "optional": "[dim]-[/]",
    "warning": "[yellow]warning[/]",
    "broken": "[red]broken[/]",
}

# Distribution name, import name. Tracking needs all of these.
_REQUIRED = (
    ("onnxruntime", "onnxruntime"),
    ("av", "av"),
    ("numpy", "numpy"),
    ("opencv-python-headless", "cv2"),
    ("pillow", "PIL"),
    ("pycocotools", "pycocotools"),
    ("pydantic", "pydantic"),
    ("pyyaml", "yaml"),
    ("jaxtyping", "jaxtyping"),
    ("jinja2", "jinja2"),
    ("orjson", "orjson"),
    ("typer", "typer"),
    ("rich", "rich"),
)
# Distribution name, what needs it, how to install it.
_OPTIONAL = (
    ("torch", "weights of your own and GPUs", "pip install '.[torch]'"),
    ("openvino", "--backend openvino", "pip install '.[openvino]'"),
    ("onnx", "vepe export", "pip install '.[export]'"),
    ("accelerate", "vepe train", "pip install '.[train]'"),
    ("tensorboard", "training curves", "pip install '.[train]'"),
    ("matplotlib", "reports and plots", "pip install '.[report]'"),
    ("pyarrow", "Parquet files", "pip install '.[parquet]'"),
    ("h5py", "HDF5 files", "pip install '.[hdf5]'"),
    ("sleap_io", "SLEAP and NWB files", "pip install '.[sleap]'"),
    ("rerun", "recordings for rerun", "pip install '.[rerun]'"),
    ("fastapi", "vepe serve", "pip install '.[serve]'"),
    ("ray", "vepe track --on ray", "pip install '.[cluster]'"),
    ("moderngl", "vepe synth", "pip install '.[synth]'"),
    ("wandb", "vepe train --log wandb", "pip install '.[wandb]'"),
    ("mlflow", "vepe train --log mlflow", "pip install '.[mlflow]'"),
)
# Each of these installs into the same folder `cv2` as the headless build.
_OTHER_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `broken` says that the main job, `vepe track`, cannot run."""

    area: str
    name: str
    value: str
    state: State = "ok"
    advice: str = ""


def _installed(distribution: str) -> str | None:
    from importlib import metadata  # noticeably slow in `vepe --help`

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def find_versions() -> Iterator[Finding]:
    """Python, VEPE and the packages that tracking needs; each is imported as a test."""
    yield Finding("versions", "vepe", __version__)
    yield Finding(
        "versions",
        "python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    )
    for distribution, module in _REQUIRED:
        try:
            version = getattr(import_module(module), "__version__", None)
        # A damaged binary package may raise anything on import, not only ImportError.
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            advice = f"pip install --force-reinstall {distribution}"
            yield Finding("versions", distribution, reason, "broken", advice)
        else:
            yield Finding("versions", distribution, str(version or _installed(distribution)))
    others = [name for name in _OTHER_OPENCV if _installed(name)]
    if others and _installed("opencv-python-headless"):
        names = f"{' '.join(others)} opencv-python-headless"
        advice = f"pip uninstall -y {names} && pip install opencv-python-headless"
        conflict = f"{', '.join(others)} and opencv-python-headless share one folder"
        yield Finding("versions", "opencv", conflict, "warning", advice)


def find_devices() -> Iterator[Finding]:
    """What `--device` can be on this machine."""
    from vepe.inference.devices import available_cores

    cores = f"{available_cores()} threads of {os.cpu_count()} processors"
    yield Finding("devices", "cpu", cores)
    try:
        import torch
    except Exception:  # find_optional says what it is for
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = f"{properties.total_memory / 2**30:.0f} GiB"
            yield Finding("devices", f"cuda:{index}", f"{properties.name}, {memory}")
    else:
        why = "no NVIDIA GPU" if torch.version.cuda else "this build of torch has no CUDA"
        yield Finding("devices", "cuda", why, "optional")
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", "Apple GPU")
    elif sys.platform == "darwin":
        yield Finding("devices", "mps", "not available", "optional")


def find_codecs() -> Iterator[Finding]:
    """Whether H.264 can be written (tested on a few frames) and which codecs can be read."""
    try:
        import av
    except Exception:  # find_versions reports it
        return
    try:
        size = _encode_sample()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "pip install --force-reinstall av  (its wheels bring FFmpeg with libx264)"
        yield Finding("codecs", "H.264 writing", reason, "broken", advice)
    else:
        yield Finding("codecs", "H.264 writing", f"libx264, tested: 4 frames in {size} bytes")
    for codec in ("h264", "hevc", "vp9", "av1", "mpeg4"):
        if codec not in av.codecs_available:
            advice = "pip install --force-reinstall av"
            yield Finding("codecs", f"{codec} reading", "missing", "warning", advice)


def _encode_sample() -> int:
    """Encodes four small frames to memory; returns the size of the file in bytes."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for brightness in range(4):
            image = np.full((64, 64, 3), brightness * 60, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getbuffer().nbytes


def find_weights() -> Iterator[Finding]:
    """The bundled weights, each opened to see that it is complete."""
    from importlib import resources

    advice = "reinstall VEPE from a complete package, or pass --model YOUR.safetensors"
    folder = Path(str(resources.files("vepe.weights")))
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.onnx")])
    for path in files:
        severity: State = "broken" if path.name == f"{DEFAULT_MODEL}.onnx" else "warning"
        problem = _weights_problem(path)
        if problem:
            yield Finding("weights", path.name, problem, severity, advice)
        else:
            yield Finding("weights", path.name, f"{path.stat().st_size / 1e6:.1f} MB")
    if f"{DEFAULT_MODEL}.onnx" not in [path.name for path in files]:
        yield Finding("weights", f"{DEFAULT_MODEL}.onnx", "not found", "broken", advice)


def _weights_problem(path: Path) -> str:
    """What is wrong with a weights file; empty if nothing is."""
    try:
        from vepe.inference.model_files import read_card
    except Exception:  # find_versions reports what cannot be imported
        return ""
    try:
        read_card(path)
    except VepeError as error:
        return str(error)
    return ""


def find_optional() -> Iterator[Finding]:
    """Packages that only some commands need, and Python's own Tk."""
    from importlib.util import find_spec

    for distribution, purpose, how in _OPTIONAL:
        version = _installed(distribution)
        if version:
            yield Finding("optional", distribution, version)
        else:
            advice = f"for {purpose}: {how}"
            yield Finding("optional", distribution, "not installed", "optional", advice)
    if _installed("moderngl"):
        yield _rendering()
    if find_spec("tkinter") and find_spec("_tkinter"):
        yield Finding("optional", "tkinter", "for vepe track --show")
    else:
        advice = "for vepe track --show: on Debian and Ubuntu apt-get install python3-tk"
        yield Finding("optional", "tkinter", "not installed", "optional", advice)


def _rendering() -> Finding:
    """The OpenGL that `vepe synth` renders with; a context is opened as a test."""
    from vepe_synth.command import opengl_renderer

    try:
        name = opengl_renderer()
    except VepeError as error:
        return Finding("optional", "OpenGL", "not available", "optional", str(error))
    return Finding("optional", "OpenGL", f"for vepe synth: {name}")


def doctor() -> None:
    """Check the installation: versions, devices, codecs, weights and optional packages.

    Exit code 0 if videos can be tracked, 1 if something that tracking needs is broken.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    findings = [
        *find_versions(),
        *find_devices(),
        *find_codecs(),
        *find_weights(),
        *find_optional(),
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    for no_wrap in (True, True, True, False):
        table.add_column(no_wrap=no_wrap, overflow="fold")
    area = ""
    for item in findings:
        label = item.area if item.area != area else ""
        area = item.area
        lines = [printable(line) for line in (item.value, item.advice) if line]
        table.add_row(label, item.name, _MARKS[item.state], escape("\n".join(lines)))
    console = Console()
    console.print(table)
    broken = [item.name for item in findings if item.state == "broken"]
    if broken:
        console.print(f"\nTracking cannot run: {', '.join(broken)}. See the advice above.")
        raise typer.Exit(1)
    console.print("\nEverything that tracking needs is installed.")
