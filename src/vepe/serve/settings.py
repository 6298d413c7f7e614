"""`ServeSettings`: where the server listens, what it keeps, and every limit."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from vepe.errors import VepeError
from vepe.inference import DEFAULT_MODEL


def duration_text(seconds: float) -> str:
    """A duration for a sentence: '90 seconds', '60 minutes'."""
    return f"{seconds:.0f} seconds" if seconds < 180 else f"{seconds / 60:.0f} minutes"


MIN_TOKEN = 16
"""Characters of a token at least, so that it cannot be guessed."""


@dataclass(frozen=True)
class Limits:
    """What one client or one upload can use.

    Attributes:
        upload_bytes: of an uploaded file.
        image_bytes: of an image to predict, and of a live frame.
        duration_s: of a video.
        frame_pixels: of a frame or image.
        queued_jobs: that wait; more are refused with 429.
        stored_jobs: that are kept, whatever their state.
        job_s: that a job may run.
        worker_memory_mb: resident memory of a worker process; it is stopped above.
        idle_s: without a byte from a client that sends a body.
        connections: at a time; 503 above.
        event_streams: open streams of events at a time.
        live_sessions: at a time.
        live_idle_s: without a frame in a live session.
        waiting_images: images to predict that wait.
        free_disk_mb: that uploads leave free.
    """

    upload_bytes: int = 2_000_000_000
    image_bytes: int = 30_000_000
    duration_s: float = 3600.0
    frame_pixels: int = 4096 * 2304
    queued_jobs: int = 16
    stored_jobs: int = 1000
    job_s: float = 4 * 3600.0
    worker_memory_mb: int = 6000
    idle_s: float = 30.0
    connections: int = 500
    event_streams: int = 128
    live_sessions: int = 4
    live_idle_s: float = 60.0
    waiting_images: int = 16
    free_disk_mb: int = 500


@dataclass(frozen=True)
class ServeSettings:
    """All settings of a server.

    Attributes:
        data: folder of the jobs.
        host, port: where it listens.
        token: that clients must know; None for none.
        root: folder whose files clients may name by path; None for none.
        model: default of jobs; a preset with bundled weights, or a file of the operator.
        models: names that clients may choose from, the default included.
        backend, device: as `vepe.load`.
        limits: see `Limits`.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    root: Path | None = None
    model: str = DEFAULT_MODEL
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    backend: str = "auto"
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raises VepeError where the server would be open to others, or a folder is missing."""
        if not self.is_local and self.token is None:
            raise VepeError(
                f"'{self.host}' can be reached from other machines, so clients must know a token; "
                "add --token, or set VEPE_TOKEN, to a secret of at least "
                f"{MIN_TOKEN} characters."
            )
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise VepeError(
                f"The token must have at least {MIN_TOKEN} ASCII characters, so that nobody "
                "guesses it; python -c 'import secrets; print(secrets.token_urlsafe())' makes one."
            )
        if self.root is not None and not self.root.is_dir():
            raise VepeError(f"--root '{self.root}' is no folder; name an existing one.")

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
