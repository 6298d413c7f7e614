"""One step of the network as one computation without branches on data, for every runtime.

A step encodes B new frames and fuses Q key frames. Both numbers are free: a live stream encodes one
frame and fuses it, a file encodes one and fuses the one `lookahead` frames ago, the end of a file
fuses without new frames of its own, and several frames or streams may share a step. Which frames a
key frame reads comes as indices (`windows`), and the optical flow between them comes from outside
(`vepe.models.optical_flow`), so that a runtime needs no more than tensors.

Dimensions: B new frames, P frames in memory, Q key frames, T places of a window, N people, K
keypoints, D embedding length.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from vepe.models.alignment import FrameMotion
from vepe.models.decoder_layer import PoseOutput
from vepe.models.optical_flow import FLOW_SCALE
from vepe.models.positions import map_wh
from vepe.models.streaming import FrameMemory
from vepe.models.vepe import Vepe
from vepe.models.windows import MEMORY, OFFSETS

FILL = 0.5
"""Value of the padding: mid grey, which pose-pretrained backbones normalise to zero."""


class Step(nn.Module):
    """The network's step; its inputs and outputs are the interface of exported models.

    Args:
        model: the network.
        future: how many frames after the key frame a window has places for.

    Attributes:
        key: place of the key frame in a window.
        places: T, number of places: `key` earlier frames, the key frame, and `future` later ones.
    """

    def __init__(self, model: Vepe, future: int) -> None:
        super().__init__()
        self.model = model
        self.key = OFFSETS[-1]
        self.places = self.key + 1 + future
        later = (self.key + offset for offset in OFFSETS if offset <= future)
        self.reads = [*(self.key - offset for offset in reversed(OFFSETS)), *later]

    def forward(
        self,
        images: UInt8[Tensor, "B H W 3"],
        sizes_px: Int[Tensor, "B 2"],
        memory: Sequence[Tensor],
        windows: Int[Tensor, "Q T"],
        flows: Float[Tensor, "Q T-1 2 2 h w"] | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Runs the step.

        Args:
            images: RGB, at the top left of the input; H and W multiples of the model's stride.
            sizes_px: width and height of the images without padding.
            memory: of P earlier frames, in rows of the tensors that `MEMORY` names; empty without.
            windows: the frame at every place of each key frame's window, as an index into the
                frames in memory and then the new ones; -1 where no frame is read. The key frame is
                always there.
            flows: optical flow from every place to the next one and back, (x, y) in pixels of the
                input at a `FLOW_SCALE`th of its resolution; any finite values where no frame is
                read across them. None without alignment.

        Returns:
            the poses of the key frames (person scores, keypoints in pixels of the input, keypoint
            confidences, identity embeddings), and what to keep of the new frames as `memory`.
        """
        pixels, padding = network_input(images, sizes_px)
        frame, _ = self.model.encode_frame(pixels, padding)
        new = memory_tensors(frame)
        lines = new
        if memory:
            lines = [torch.cat(pair) for pair in zip(memory, new, strict=True)]  # (P+B, ...)
        chosen = [line[windows.clamp_min(0)] for line in lines]  # (Q, T, ...)
        window = [frame_memory([tensor[:, t] for tensor in chosen]) for t in range(self.places)]
        motions: list[FrameMotion | None] = [None] * (self.places - 1)
        if flows is not None:
            size = FLOW_SCALE * map_wh(flows)
            motions = [FrameMotion(f[:, 0], f[:, 1], size) for f in flows.unbind(1)]
        poses = self.model.fuse(window, motions, self.key, self.reads, windows >= 0)
        return output_tensors(poses), new


def output_tensors(poses: PoseOutput) -> list[Tensor]:
    """The poses as a step returns them: logits become scores of 0 to 1."""
    return [
        poses.score_logits.sigmoid(),
        poses.keypoints_px,
        poses.confidence_logits.sigmoid(),
        poses.identity,
    ]


def memory_tensors(frame: FrameMemory) -> list[Tensor]:
    """The tensors of a frame in memory, by the names in `MEMORY`."""
    return [getattr(frame.poses, name) for name in MEMORY]


def frame_memory(tensors: Sequence[Tensor]) -> FrameMemory:
    """The frame in memory that has these tensors."""
    return FrameMemory(PoseOutput(**dict(zip(MEMORY, tensors, strict=True))), None)


def network_input(
    images: UInt8[Tensor, "B H W 3"], sizes_px: Int[Tensor, "B 2"]
) -> tuple[Float[Tensor, "B 3 H W"], Bool[Tensor, "B H W"]]:
    """Images as `Vepe.encode_frame` takes them, and their padding; arguments as of `Step`."""
    batch, height, width = images.shape[:3]
    columns = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device)
    outside_x = columns >= sizes_px[:, :1]  # (B, W)
    outside_y = rows >= sizes_px[:, 1:]  # (B, H)
    padding = outside_x[:, None, :] | outside_y[:, :, None]  # (B, H, W)
    # Whole rows of numbers, colours innermost: broadcasting along three colours is slow.
    outside = outside_x.repeat_interleave(3, dim=1)[:, None, :] | outside_y[:, :, None]
    flat = images.reshape(batch, height, 3 * width).float() / 255  # (B, H, 3W)
    flat = flat.masked_fill(outside, FILL)
    return flat.view(batch, height, width, 3).permute(0, 3, 1, 2), padding
