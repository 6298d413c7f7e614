"""VEPE: the whole network on one screen.

    encode_frame: backbone, pyramid, spatial encoder, proposals, spatial decoder   once a frame
    fuse:         STDME, STPE guided by instance consistency, STPD                 once a key frame

Training runs the two on clips, streaming on frames; `tests/models/test_streaming.py` holds them
equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.backbone import Backbone
from vepe.models.decoder_layer import IdentityHead, person_size_px
from vepe.models.instance_consistency import Appearance, InstanceConsistency
from vepe.models.memory_encoder import MemoryEncoder
from vepe.models.neck import HighResolutionFeatures, Pyramid
from vepe.models.pose_decoder import PoseDecoder
from vepe.models.pose_encoder import FrameQueries, PoseEncoder
from vepe.models.proposals import ProposalHead
from vepe.models.spatial_decoder import NoisedPoses, SpatialDecoder
from vepe.models.spatial_encoder import Memory, SpatialEncoder
from vepe.models.streaming import (
    FrameFeatures,
    PoseOutput,
    StreamState,
    deltas_s,
    is_remembered,
    window_bounds,
    window_indices,
)


@dataclass(frozen=True)
class VepeParts:
    """The parts that `Vepe` is composed of; those that may be left out are None then."""

    backbone: Backbone
    pyramid: Pyramid
    spatial_encoder: SpatialEncoder
    proposals: ProposalHead
    spatial_decoder: SpatialDecoder
    identity: IdentityHead
    consistency: InstanceConsistency
    pose_encoder: PoseEncoder | None
    memory_encoder: MemoryEncoder | None
    pose_decoder: PoseDecoder
    fine_map: HighResolutionFeatures | None = None
    appearance: Appearance | None = None


class Vepe(nn.Module):
    """Video end-to-end pose estimation.

    Args:
        parts: the modules (see `vepe.models.build`).
        window: frames that a key frame reads, itself included.
        lookahead: how many of them lie in the future (0: causal).
        spacing_s: a frame is remembered for later windows if it comes at least this long after
            the last remembered one; 0 remembers all.
    """

    def __init__(
        self, parts: VepeParts, *, window: int, lookahead: int = 0, spacing_s: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone, self.pyramid = parts.backbone, parts.pyramid
        self.fine_map, self.appearance = parts.fine_map, parts.appearance
        self.spatial_encoder, self.proposals = parts.spatial_encoder, parts.proposals
        self.spatial_decoder, self.identity = parts.spatial_decoder, parts.identity
        self.consistency, self.pose_decoder = parts.consistency, parts.pose_decoder
        self.pose_encoder, self.memory_encoder = parts.pose_encoder, parts.memory_encoder
        self.window, self.lookahead, self.spacing_s = window, lookahead, spacing_s

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return self.pyramid.strides[-1]

    def encode_frame(
        self,
        images: Float[Tensor, "B 3 H W"],
        padding: Bool[Tensor, "B H W"] | None = None,
        noised: NoisedPoses | None = None,
    ) -> FrameFeatures:
        """Everything that is known of frames on their own.

        Args:
            images: RGB in 0..1; H and W multiples of `stride`.
            padding: True where a pixel is not part of the picture.
            noised: known poses with noise, in training.

        Raises:
            ValueError: where H or W is no multiple of `stride`.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height} x {width} is not a multiple of the stride {self.stride}")
        seen = self.backbone(images)
        maps = self.pyramid(seen, height, width)
        fine = None if self.fine_map is None else self.fine_map(seen[0], maps[0])
        memory = Memory(maps, _padding_by_level(padding, maps), self.pyramid.strides, fine)
        memory = self.spatial_encoder(memory)
        proposals = self.proposals(memory)
        queries, layers = self.spatial_decoder(memory, proposals, noised)
        own = slice(0, proposals.score_logits.shape[1])  # the noised people stand behind these
        last = layers[-1].people(own)
        places = last.keypoints_px.detach()
        looks = None
        if self.appearance is not None:
            sure = last.confidence_logits.detach().sigmoid()
            looks = self.appearance(seen[0], places, sure, memory.image_wh_px)
        described = FrameQueries(
            queries[:, own],
            torch.cat([places.mean(dim=2, keepdim=True), places], dim=2),
            self.identity(queries[:, own, 0], looks),
            last.score_logits.detach().sigmoid(),
        )
        values = [] if self.memory_encoder is None else self.memory_encoder.project(memory)
        return FrameFeatures(memory, values, described, layers, proposals)

    def fuse(
        self, window: Sequence[FrameFeatures], times_s: Float[Tensor, "B T"], key: int
    ) -> PoseOutput:
        """The poses of frame `key` of the window, with all that the window knows.

        Args:
            window: features of T frames in order of time.
            times_s: their timestamps in seconds, best as float64 on the CPU (not every device has
                it, and a long video's times are large).
            key: index of the frame that is asked for.
        """
        memory, people = window[key].memory, [f.queries for f in window]
        delta_s = deltas_s(times_s, key).to(people[key].points_px.device)
        if self.memory_encoder is not None:
            memory = self.memory_encoder(memory, [f.values for f in window], delta_s)
        own = people[key]
        keypoints_px, queries = own.points_px[:, :, 1:], own.queries
        if self.pose_encoder is not None:
            size = person_size_px(keypoints_px)
            queries = self.pose_encoder(people, key, delta_s, size, self.consistency)
        layers = self.pose_decoder(queries, keypoints_px, memory)
        last = layers[-1]
        return PoseOutput(
            last.score_logits, last.keypoints_px, last.confidence_logits, own.identity, layers
        )

    def forward(
        self,
        clips: Float[Tensor, "B T 3 H W"],
        times_s: Float[Tensor, "B T"],
        padding: Bool[Tensor, "B T H W"] | None = None,
        keys: Sequence[int] | None = None,
    ) -> list[PoseOutput]:
        """Poses of the frames `keys` (all, where None) of every clip, each frame encoded once.

        Frames are encoded one time step after the other, as in a stream, so that rounding is the
        same too. Training encodes all frames as one batch instead (`vepe.training.step`).
        """
        frames = clips.shape[1]
        single = [
            self.encode_frame(clips[:, t], None if padding is None else padding[:, t])
            for t in range(frames)
        ]
        keys = range(frames) if keys is None else keys
        return self.fuse_keys(single, times_s, keys, self.spacing_s)

    def fuse_keys(
        self,
        frames: Sequence[FrameFeatures],
        times_s: Float[Tensor, "B T"],
        keys: Sequence[int],
        spacing_s: float = 0.0,
    ) -> list[PoseOutput]:
        """`fuse` for several key frames, each with its own window.

        Without `spacing_s` every frame is remembered: the frames of training clips are chosen
        with gaps between them.

        Raises:
            ValueError: with a spacing, where the clips of the batch differ in their times.
        """
        if spacing_s and not (times_s == times_s[:1]).all():
            raise ValueError("clips of one batch remember the same frames; give them equal times")
        clock: list[float] = times_s[0].tolist()
        outputs = []
        for key in keys:
            chosen, place = window_indices(clock, key, self.window, self._lookahead, spacing_s)
            window = [frames[i] for i in chosen]
            outputs.append(self.fuse(window, times_s[:, chosen], place))
        return outputs

    def step(
        self,
        state: StreamState,
        image: Float[Tensor, "1 3 H W"],
        time_s: float,
        padding: Bool[Tensor, "1 H W"] | None = None,
    ) -> tuple[StreamState, PoseOutput | None]:
        """One frame of a stream: the new state and the poses of the frame `lookahead` frames ago.

        None comes out while the first frames' future is still awaited; `flush` gives the rest.
        """
        grown = StreamState(
            (*state.frames, self.encode_frame(image, padding)),
            (*state.times_s, time_s),
            state.pending + 1,
        )
        if grown.pending <= self._lookahead:
            return grown, None
        return self._answered(grown), self._answer(grown)

    def flush(self, state: StreamState) -> list[PoseOutput]:
        """The poses of the last frames of a stream, whose future will never come."""
        outputs = []
        while state.pending:
            outputs.append(self._answer(state))
            state = self._answered(state)
        return outputs

    @property
    def _lookahead(self) -> int:
        return min(self.lookahead, self.window - 1)

    def _answer(self, state: StreamState) -> PoseOutput:
        """Poses of the oldest frame that has not been answered."""
        count = len(state.frames)
        key = count - state.pending
        first, end = window_bounds(key, count, self.window, self._lookahead)
        times = torch.tensor([state.times_s[first:end]], dtype=torch.float64)
        return self.fuse(state.frames[first:end], times, key - first)

    def _answered(self, state: StreamState) -> StreamState:
        """The state once that frame's poses are out: it is remembered, or too near to the last."""
        frames, times, key = state.frames, state.times_s, len(state.frames) - state.pending
        if key and not is_remembered(times[key] - times[key - 1], self.spacing_s):
            frames, times = frames[:key] + frames[key + 1 :], times[:key] + times[key + 1 :]
        keep = self.window
        return StreamState(frames[-keep:], times[-keep:], state.pending - 1)


def _padding_by_level(
    padding: Bool[Tensor, "B H W"] | None, maps: list[Tensor]
) -> list[Bool[Tensor, "B h w"]] | None:
    """The padding as the levels see it: a cell is padding where its centre is."""
    if padding is None:
        return None
    as_image = padding.unsqueeze(1).float()
    return [
        F.interpolate(as_image, m.shape[-2:], mode="nearest-exact").squeeze(1) > 0.5 for m in maps
    ]
