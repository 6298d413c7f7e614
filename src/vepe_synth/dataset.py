"""Writes synthetic video as a PoseTrack18 tree: in parallel, resumable, the same for any workers.

`OUT/images/<split>/<sequence>/000000.jpg`, `OUT/posetrack_data/annotations/<split>/<sequence>.json`
and `OUT/synth.json` with what it was made from. A sequence is there when its annotations are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
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
from vepe_synth.background import backdrop_pictures
from vepe_synth.config import SynthSettings
from vepe_synth.film import Film, FilmedFrame, SplitName, plan_film, shoot
from vepe_synth.renderer import Renderer

RECORD = "synth.json"
MAX_VIDEOS = 400_000
_VAL_FROM = 500_000


@dataclass(frozen=True)
class Order:
    """What is to be made. `avatars`: None for those of the package. `backgrounds`: None invents."""

    out: Path
    settings: SynthSettings
    videos: int
    split: SplitName = "train"
    seed: int = 0
    avatars: Path | None = None
    backgrounds: Path | None = None

    def annotation_path(self, index: int) -> Path:
        """Where the annotations of a sequence go; it is done when they are there."""
        folder = self.out / "posetrack_data" / "annotations" / self.split
        return folder / f"{sequence_name(self.split, index)}.json"

    def missing(self) -> list[int]:
        """Numbers of the sequences that are still to be made, ascending."""
        return [i for i in range(self.videos) if not self.annotation_path(i).exists()]


def sequence_name(split: SplitName, index: int) -> str:
    """Such as '000012_synth_train'; sequences of 'val' count from 500000."""
    return f"{index + (_VAL_FROM if split == 'val' else 0):06d}_synth_{split}"


class Studio:
    """What a process needs to make the sequences of an order, opened once."""

    def __init__(self, order: Order, *, threads: int | None = None) -> None:
        from vepe_synth.gl import open_context

        self.order = order
        self.library = cast_of(order)
        self.backgrounds = backdrop_pictures(order.backgrounds) if order.backgrounds else ()
        settings = order.settings
        self.renderer = Renderer(open_context(threads=threads), settings.width, settings.height)

    def film(self, index: int) -> Film:
        """The plan of a sequence."""
        order = self.order
        return plan_film(
            order.settings,
            self.library,
            seed=order.seed,
            split=order.split,
            index=index,
            backgrounds=self.backgrounds,
        )

    def make(self, index: int, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Films a sequence and writes it; False, with nothing written, where `stopped()` says so.

        Raises:
            VepeError: where it cannot be written.
        """
        order, name = self.order, sequence_name(self.order.split, index)
        film = self.film(index)
        inside = f"images/{order.split}/{name}"
        frames: list[AnnotatedFrame] = []
        try:
            with replacing_folder(order.out / inside) as folder:
                for i, frame in enumerate(shoot(film, self.renderer)):
                    if stopped():
                        raise _StoppedError
                    (folder / f"{i:06d}.jpg").write_bytes(_jpeg(frame, film.sensor.jpeg_quality))
                    frames.append(_annotated(frame, i, f"{inside}/{i:06d}.jpg", order.settings))
        except _StoppedError:
            return False
        path = order.annotation_path(index)
        write_posetrack18(
            path, AnnotatedSequence(name, tuple(frames), POSETRACK15, path, "posetrack18")
        )
        return True

    def close(self) -> None:
        """Gives the graphics card's memory back."""
        self.renderer.release()


class _StoppedError(Exception):
    """Making a sequence was stopped from outside."""


def cast_of(order: Order) -> AvatarLibrary:
    """The avatars of the order's split; all of them where the library is too small to be split."""
    library = open_library(order.avatars)
    part = library.split(order.split)
    return part if len(part) else library


def prepare(order: Order) -> None:
    """Makes the folder ready: writes down what it is made from, removes what a crash left.

    Raises:
        VepeError: where the folder holds sequences of this split made from other settings, or
            cannot be written.
    """
    record_path = order.out / RECORD
    record: dict[str, Any] = {"splits": {}}
    if record_path.exists():
        record = load_json(record_path)
        if not isinstance(record, dict) or not isinstance(record.get("splits"), dict):
            raise VepeError(f"{record_path} is damaged; make the videos in another folder.")
    wanted = _recipe(order)
    there = record["splits"].get(order.split)
    if there is not None:
        _require_same(there, wanted, order)
    record["splits"][order.split] = wanted | {"vepe": __version__}
    dump_json(record_path, record)
    for leftover in (order.out / "images" / order.split).glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)


def _recipe(order: Order) -> dict[str, Any]:
    """All that decides what a sequence looks like, as plain values."""
    return {
        "seed": order.seed,
        "settings": order.settings.model_dump(mode="json"),
        "avatars": list(cast_of(order).names),
        "backgrounds": (
            [p.name for p in backdrop_pictures(order.backgrounds)] if order.backgrounds else []
        ),
    }


def _require_same(there: dict[str, Any], wanted: dict[str, Any], order: Order) -> None:
    for key, value in wanted.items():
        if there.get(key) != value:
            raise VepeError(
                f"{order.out} holds '{order.split}' videos made with another {key} "
                f"({_short(there.get(key))}, not {_short(value)}); use the same to go on, or "
                "another folder."
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _jpeg(frame: FilmedFrame, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _annotated(
    frame: FilmedFrame, index: int, file_name: str, settings: SynthSettings
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
