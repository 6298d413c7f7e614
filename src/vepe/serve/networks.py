"""The networks of a worker process: loaded once, shared by jobs of different options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vepe.inference import DEFAULT_CONF
from vepe.inference.backends import open_network
from vepe.inference.devices import keep_freed_memory, quiet_threads
from vepe.inference.predictor import Predictor
from vepe.serve.job import JobOptions
from vepe.serve.settings import ServeSettings

if TYPE_CHECKING:
    from vepe.config.model import ModelConfig
    from vepe.inference.network import Network

_MAX_LOADED = 2


class Networks:
    """Loads the server's default model at once, and others when they are asked for.

    Raises:
        VepeError: where the default model cannot be loaded.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._loaded: dict[str, tuple[Network, ModelConfig]] = {}
        if settings.device in ("auto", "cpu"):
            keep_freed_memory()
        quiet_threads()
        self._warm_up(self.predictor_of(JobOptions(settings.model)))

    def predictor_of(self, options: JobOptions) -> Predictor:
        """A predictor with these options. Raises VepeError as `vepe.load`."""
        network, config = self._network(options.model)
        return Predictor(
            network,
            config,
            conf=DEFAULT_CONF if options.conf is None else options.conf,
            window=options.window,
            input_px=options.imgsz,
            smooth=options.smooth,
        )

    def _network(self, name: str) -> tuple[Network, ModelConfig]:
        if name not in self._loaded:
            settings = self._settings
            loaded = open_network(name, settings.backend, settings.device)
            while len(self._loaded) >= _MAX_LOADED:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[name] = loaded
        return self._loaded[name]

    def _warm_up(self, predictor: Predictor) -> None:
        """First calls allocate memory and load libraries; clients should not wait for that."""
        noise = np.random.default_rng(0).integers(0, 255, (2, 72, 128, 3)).astype(np.uint8)
        stream = predictor.new_stream(fps=25.0)
        for index in range(predictor.config.temporal.window):
            stream.push(noise[index % 2])
        stream.finish()
