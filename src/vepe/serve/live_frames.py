"""Images and live frames in their worker process."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vepe.errors import VepeError, VepeWarning
from vepe.image_header import image_header
from vepe.inference.stream import Stream
from vepe.serve.job import JobOptions
from vepe.serve.media_kind import HEADER_BYTES, JPEG, PNG, WEBP, kind_of_bytes
from vepe.serve.networks import Networks
from vepe.serve.pose_records import frame_values, skeleton_values
from vepe.video.images import read_image


class LiveFrames:
    """Predicts images, and tracks the frames of live sessions, each with a stream of its own."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._streams: dict[str, tuple[Stream, float]] = {}

    def handle(self, name: str, values: dict[str, Any], stop: threading.Event) -> dict[str, Any]:
        """Answers `predict`, `frame` and `close`. Raises VepeError where an image is none."""
        if name == "predict":
            return self._predict(Path(values["path"]), values["name"], values["options"])
        if name == "frame":
            return self._track(values["session"], values["data"], values["options"])
        self._streams.pop(values["session"], None)
        return {}

    def _predict(self, path: Path, name: str, options: JobOptions) -> dict[str, Any]:
        size = image_header(path)
        if isinstance(size, str):
            raise VepeError(f"'{name}' {size}; send another.")
        predictor = self._networks.predictor_of(options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VepeWarning)  # of an animation, its first frame
            try:
                image = read_image(path)
            except VepeError as error:
                raise VepeError(str(error).replace(str(path), name)) from None
        begun_s = time.perf_counter()
        poses = predictor.predict(image).poses
        values = frame_values(poses)
        return {
            "width": image.shape[1],
            "height": image.shape[0],
            "people": [
                {key: person[key] for key in ("score", "keypoints", "box")}
                for person in values["people"]
            ],
            "time_ms": round(1000 * (time.perf_counter() - begun_s), 1),
            "skeleton": skeleton_values(predictor.skeleton),
        }

    def _track(self, session: str, data: bytes, options: JobOptions) -> dict[str, Any]:
        image = _decode(data)
        begun_s = time.perf_counter()
        stream, last_s = self._streams.get(session, (None, 0.0))
        if stream is None:
            stream = self._networks.predictor_of(options).new_stream(live=True)
        time_s = max(begun_s, last_s + 1e-3)
        self._streams[session] = (stream, time_s)
        poses = stream.push(image, time_s)
        people = frame_values(poses[-1])["people"] if poses else []
        return {
            "width": image.shape[1],
            "height": image.shape[0],
            "people": people,
            "network_ms": round(1000 * (time.perf_counter() - begun_s), 1),
        }


def _decode(data: bytes) -> np.ndarray:
    """A live frame as RGB. Raises VepeError where it is no JPEG, PNG or WebP, or too large."""
    if kind_of_bytes(data[:HEADER_BYTES]) not in (JPEG, PNG, WEBP):
        raise VepeError("A live frame must be a JPEG image.")
    size = image_header(data)
    if isinstance(size, str):
        raise VepeError(f"The live frame {size}.")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise VepeError("The live frame is damaged.")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
