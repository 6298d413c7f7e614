"""Writes synthetic videos as a data set in PoseTrack18's layout.

`OUT/images/<split>/<sequence>/000000.jpg`, `OUT/posetrack_data/annotations/<split>/<sequence>.json`
and `OUT/synth.json`, the settings. Annotations are written last, so a sequence is complete if its
annotation file exists.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from vepe import __version__
from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence
from vepe.formats.files import dump_json, load_json, replacing_folder
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.skeleton import POSETRACK15
from vepe_synth.avatars import AvatarLibrary, open_library
from vepe_synth.background import background_images
from vepe_synth.config import SynthSettings
from vepe_synth.renderer import Renderer
from vepe_synth.video_plan import RenderedFrame, SplitName, VideoPlan, plan_video, render_video

RECORD = "synth.json"
_VAL_FROM = 500_000  # sequences have six digits; 'val' must not collide with 'train'


@dataclass(frozen=True)
class RenderJob:
    """What to render. `avatars` None: the bundled ones. `backgrounds` None: procedural scenes."""

    out: Path
    settings: SynthSettings
    videos: int
    split: SplitName = "train"
    seed: int = 0
    avatars: Path | None = None
    backgrounds: Path | None = None

    def annotation_path(self, index: int) -> Path:
        """Annotation file of a sequence."""
        folder = self.out / "posetrack_data" / "annotations" / self.split
        return folder / f"{sequence_name(self.split, index)}.json"

    def absolute(self) -> RenderJob:
        """The same with paths that do not depend on the working directory."""
        return replace(
            self,
            out=self.out.absolute(),
            avatars=self.avatars and self.avatars.absolute(),
            backgrounds=self.backgrounds and self.backgrounds.absolute(),
        )

    def missing(self) -> list[int]:
        """Indices of the sequences that are not rendered yet, ascending."""
        return [i for i in range(self.videos) if not self.annotation_path(i).exists()]


def sequence_name(split: SplitName, index: int) -> str:
    """Name such as '000012_synth_train'; sequences of 'val' start at 500000."""
    return f"{index + (_VAL_FROM if split == 'val' else 0):06d}_synth_{split}"


class JobRenderer:
    """Renders the sequences of a job: avatars, backgrounds and OpenGL context, opened once."""

    def __init__(self, job: RenderJob) -> None:
        from vepe_synth.gl import open_context

        self.job = job
        self.library = job_avatars(job)
        self.backgrounds = background_images(job.backgrounds) if job.backgrounds else ()
        settings = job.settings
        self.renderer = Renderer(open_context(), settings.width, settings.height)

    def plan(self, index: int) -> VideoPlan:
        """The plan of a sequence."""
        job = self.job
        return plan_video(
            job.settings,
            self.library,
            seed=job.seed,
            split=job.split,
            index=index,
            backgrounds=self.backgrounds,
        )

    def make(self, index: int, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Renders and writes a sequence; returns False, with nothing written, if `stopped()`.

        Raises:
            VepeError: if it cannot be written.
        """
        job, name = self.job, sequence_name(self.job.split, index)
        plan = self.plan(index)
        inside = f"images/{job.split}/{name}"
        frames: list[AnnotatedFrame] = []
        try:
            with replacing_folder(job.out / inside) as folder:
                for i, frame in enumerate(render_video(plan, self.renderer)):
                    if stopped():
                        raise _StoppedError
                    (folder / f"{i:06d}.jpg").write_bytes(_jpeg(frame, plan.sensor.jpeg_quality))
                    frames.append(_annotated(frame, i, f"{inside}/{i:06d}.jpg", job.settings))
        except _StoppedError:
            return False
        path = job.annotation_path(index)
        write_posetrack18(
            path, AnnotatedSequence(name, tuple(frames), POSETRACK15, path, "posetrack18")
        )
        return True

    def close(self) -> None:
        """Frees the GPU memory."""
        self.renderer.release()


class _StoppedError(Exception):
    """Raised when `stopped()` ends a sequence."""


def job_avatars(job: RenderJob) -> AvatarLibrary:
    """The avatars of the job's split; all of them if the library is too small to split."""
    library = open_library(job.avatars)
    part = library.split(job.split)
    return part if len(part) else library


def prepare(job: RenderJob) -> None:
    """Prepares the output folder: writes the settings and removes leftovers of a crash.

    Raises:
        VepeError: if the folder has sequences of this split rendered with other settings, or
            cannot be written.
    """
    record_path = job.out / RECORD
    record: dict[str, Any] = {"splits": {}}
    if record_path.exists():
        record = load_json(record_path)
        if not isinstance(record, dict) or not isinstance(record.get("splits"), dict):
            raise VepeError(f"{record_path} is damaged; use another folder.")
    recipe = _recipe(job)
    existing = record["splits"].get(job.split)
    if existing is not None:
        _require_same(existing, recipe, job)
    record["splits"][job.split] = recipe | {"vepe": __version__}
    dump_json(record_path, record)
    for leftover in (job.out / "images" / job.split).glob(".*.vepe-part"):
        shutil.rmtree(leftover, ignore_errors=True)


def _recipe(job: RenderJob) -> dict[str, Any]:
    """Everything that determines the sequences, as plain values."""
    return {
        "seed": job.seed,
        "settings": job.settings.model_dump(mode="json"),
        "avatars": list(job_avatars(job).names),
        "backgrounds": (
            [p.name for p in background_images(job.backgrounds)] if job.backgrounds else []
        ),
    }


def _require_same(existing: dict[str, Any], recipe: dict[str, Any], job: RenderJob) -> None:
    for key, value in recipe.items():
        if not isinstance(existing, dict) or existing.get(key) != value:
            raise VepeError(
                f"{job.out} has '{job.split}' videos rendered with another {key} "
                f"({_short(existing.get(key))}, not {_short(value)}); use the same to continue, or "
                "another folder."
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _jpeg(frame: RenderedFrame, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _annotated(
    frame: RenderedFrame, index: int, file_name: str, settings: SynthSettings
) -> AnnotatedFrame:
    return AnnotatedFrame(
        index=index,
        file_name=file_name,
        image_id=None,
        is_labeled=True,
        has_annotations=bool(frame.labels.people),
        people=frame.labels.people,
        ignore_regions_px=frame.labels.ignore_regions_px,
        width=settings.width,
        height=settings.height,
        time_s=frame.time_s,
    )
