"""The window of a stream: which frames it holds, and which key frames are due.

The rules are those of clips (`vepe.models.windows`), one frame at a time; the state is a value. The
network runs apart from that: `push` and `flush` only collect what is due, and `run` sends the new
frames and key frames of any number of streams through the network together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vepe.inference.network import KEY_PLACE, Network, NetworkPoses
from vepe.models.optical_flow import FLOW_SCALE, dense_flow
from vepe.models.windows import frames_in_memory, keep_in_memory, window_reads

Flow = Float[np.ndarray, "2 2 h w"]


@dataclass(eq=False)
class WindowFrame:
    """A frame of a stream.

    Attributes:
        image: as the network takes it: RGB, padded at right and bottom.
        size_px: width and height without padding.
        grey: what it is aligned by; None without alignment.
        time_s: its time.
        info: what the stream needs when the poses are due.
        memory: what the network keeps of it; set once, by `run`, which then drops the image.
    """

    image: UInt8[np.ndarray, "H W 3"] | None
    size_px: tuple[int, int]
    grey: UInt8[np.ndarray, "H W"] | None
    time_s: float
    info: Any = None
    memory: object = None
    input_hw: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        assert self.image is not None
        self.input_hw = self.image.shape[0], self.image.shape[1]

    def flow_to(self, later: WindowFrame) -> Flow | None:
        """The optical flow to the next frame of a window; None without alignment."""
        if self.grey is None or later.grey is None:
            return None
        return dense_flow(self.grey, later.grey)


@dataclass(frozen=True)
class KeyWindow:
    """A key frame whose poses are due, and what it reads.

    Attributes:
        key: the key frame.
        reads: other frames by their distance to it; negative in the past.
        flows: by the distance of the earlier one of two successive frames.
    """

    key: WindowFrame
    reads: dict[int, WindowFrame] = field(default_factory=dict)
    flows: dict[int, Flow | None] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowState:
    """The state of a stream: successive frames, oldest first, with the flows between them.

    Attributes:
        window: number of frames that a key frame reads, itself included.
        lookahead: how many frames after the key frame are waited for.
        memory_interval_s: shortest time between two frames in memory; 0 keeps every frame.
        frames: frames in memory, then the pending ones.
        flows: between each frame and the next.
        pending: number of the last frames whose poses have not come out yet.
    """

    window: int
    lookahead: int
    memory_interval_s: float
    frames: tuple[WindowFrame, ...] = ()
    flows: tuple[Flow | None, ...] = ()
    pending: int = 0

    def push(self, frame: WindowFrame) -> tuple[WindowState, list[KeyWindow]]:
        """Takes the next frame; the key frame `lookahead` frames ago is due, if there is one."""
        flows = self.flows
        if self.frames:
            flows = (*flows, self.frames[-1].flow_to(frame))
        frames = (*self.frames, frame)
        state = replace(self, frames=frames, flows=flows, pending=self.pending + 1)
        if state.pending <= min(self.lookahead, self.window - 1):
            return state, []
        state, due = state._next_key()
        return state, [due]

    def flush(self) -> tuple[WindowState, list[KeyWindow]]:
        """The pending frames are due, without their look-ahead frames; the window is empty then."""
        state, due = self, []
        while state.pending:
            state, key = state._next_key()
            due.append(key)
        return replace(self, frames=(), flows=(), pending=0), due

    def _next_key(self) -> tuple[WindowState, KeyWindow]:
        """The oldest pending frame with its window, and the state in which it is not pending."""
        frames, flows = self.frames, self.flows
        key = len(frames) - self.pending
        reads = window_reads(key, len(frames), self.window, self.lookahead)
        span = range(min([key, *reads]), max([key, *reads]))
        due = KeyWindow(
            frames[key],
            {index - key: frames[index] for index in reads},
            {index - key: flows[index] for index in span},
        )
        end = key + 1  # of the frames in memory
        gap_s = frames[key].time_s - frames[key - 1].time_s if key else 0.0
        if key and not keep_in_memory(gap_s, self.memory_interval_s):
            later = frames[key + 1 : key + 2]
            bridge = tuple(frames[key - 1].flow_to(frame) for frame in later)
            frames = frames[:key] + frames[key + 1 :]
            flows = flows[: key - 1] + bridge + flows[key + 1 :]
            end = key
        first = max(end - frames_in_memory(self.window, self.lookahead), 0)
        state = replace(self, frames=frames[first:], flows=flows[first:], pending=self.pending - 1)
        return state, due


def run(
    network: Network, frames: Sequence[WindowFrame], due: Sequence[KeyWindow]
) -> list[NetworkPoses]:
    """Encodes new frames and fuses key frames, those of one input size in one step.

    Returns:
        The poses of each key frame.
    """
    poses: dict[int, NetworkPoses] = {}
    sizes = dict.fromkeys([*(f.input_hw for f in frames), *(d.key.input_hw for d in due)])
    for size in sizes:
        new = [frame for frame in frames if frame.input_hw == size]
        rows = [index for index, window in enumerate(due) if window.key.input_hw == size]
        output = _step(network, new, [due[index] for index in rows])
        poses.update({index: output.row(row) for row, index in enumerate(rows)})
    return [poses[index] for index in range(len(due))]


def _step(network: Network, new: Sequence[WindowFrame], due: Sequence[KeyWindow]) -> NetworkPoses:
    """One step of the network; the new frames get their memory."""
    encoded = list(new)
    if not new:  # at the end of a stream: the network always encodes something
        width, height = network.blank_wh
        encoded = [WindowFrame(np.zeros((height, width, 3), np.uint8), (width, height), None, 0.0)]
    keys = list(due) or [KeyWindow(encoded[0])]
    ahead = max([0, *(distance for key in keys for distance in key.reads)])
    places = KEY_PLACE + 1 + (ahead if network.future is None else network.future)
    wanted = [frame for key in keys for frame in (key.key, *key.reads.values())]
    old = list(dict.fromkeys(frame for frame in wanted if frame.memory is not None))
    index_of = {frame: index for index, frame in enumerate([*old, *encoded])}
    windows = np.full((len(keys), places), -1, np.int64)
    for row, key in enumerate(keys):
        for distance, frame in ((0, key.key), *key.reads.items()):
            windows[row, KEY_PLACE + distance] = index_of[frame]
    images = np.stack([frame.image for frame in encoded if frame.image is not None])
    sizes = np.array([frame.size_px for frame in encoded], np.int64)
    memory = [frame.memory for frame in old]
    flows = _flows(network, keys, places) if network.aligned else None
    poses, kept = network.step(images, sizes, memory, windows, flows)
    for frame, value in zip(new, kept, strict=False):
        frame.memory, frame.image = value, None
    return poses


def _flows(
    network: Network, keys: Sequence[KeyWindow], places: int
) -> Float[np.ndarray, "Q T-1 2 2 h w"]:
    """The flows of all windows; 0 where no frame is read across them.

    They always have the size that belongs to the input: runtimes prepare themselves once per size.
    """
    height, width = keys[0].key.input_hw
    size = height // FLOW_SCALE, width // FLOW_SCALE
    flows = np.zeros((len(keys), places - 1, 2, 2, *size), np.float32)
    for row, key in enumerate(keys):
        for distance, flow in key.flows.items():
            if flow is not None:
                flows[row, KEY_PLACE + distance] = flow
    return flows
