"""`vepe serve`: a web page and an API on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.options import Backend, Device, Model
from vepe.cli.output import note
from vepe.errors import VepeError, missing_extra
from vepe.inference import DEFAULT_MODEL


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine's need --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=1, max=65535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="VEPE_TOKEN",
            help="Secret that clients must know. In the environment variable other programs of "
            "this machine do not see it.",
            show_default="none",
        ),
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of the uploads and results.")] = Path(
        "vepe_server"
    ),
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose files clients may track by path, without sending them.",
            show_default="none",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    backend: Backend = "auto",
    device: Device = "auto",
    queue: Annotated[
        int, typer.Option(help="Jobs that may wait; more are refused.", min=1, max=10000)
    ] = 16,
    max_upload_mb: Annotated[
        int, typer.Option(help="Largest upload.", min=1, max=1_000_000)
    ] = 2000,
    max_minutes: Annotated[
        float, typer.Option(help="Longest video.", min=0.01, max=100_000)
    ] = 60.0,
    job_minutes: Annotated[
        float, typer.Option(help="Longest time that a job may run.", min=0.01, max=100_000)
    ] = 240.0,
    job_memory_mb: Annotated[
        int, typer.Option(help="Most memory of a worker process.", min=200, max=10_000_000)
    ] = 6000,
) -> None:
    """Track videos in the browser, and over a REST API.

    Only programs on this machine can connect, unless --host and --token say otherwise. Jobs and
    their results are kept in --data and survive a restart.
    """
    for package in ("fastapi", "uvicorn", "python_multipart", "websockets"):
        if find_spec(package) is None:
            raise missing_extra("vepe serve", package.replace("_", "-"), "serve")
    from vepe.formats.files import real_path
    from vepe.inference.model_files import find_weights
    from vepe.serve.app import bundled_models
    from vepe.serve.server import check_port, run_server
    from vepe.serve.settings import Limits, ServeSettings

    names = bundled_models()
    limits = Limits(
        upload_bytes=max_upload_mb * 1_000_000,
        duration_s=max_minutes * 60,
        queued_jobs=queue,
        job_s=job_minutes * 60,
        worker_memory_mb=job_memory_mb,
    )
    settings = ServeSettings(
        data=data, host=host, port=port, token=token, root=root, model=model,
        models=names if model in names else (model, *names),
        backend=backend, device=device, limits=limits,
    )  # fmt: skip
    settings.check()
    if root is not None and real_path(data).is_relative_to(real_path(root)):
        raise VepeError("--data lies below --root, so that clients could name it; move one.")
    find_weights(model)
    check_port(host, port)
    shown = f"[{host}]" if ":" in host else host
    note(f"vepe serve: http://{shown}:{port}  (Ctrl-C ends it; jobs are kept in '{data}')")
    run_server(settings)
