"""VEPE: the whole network on one screen.

    encode_frame   once per frame       backbone, neck, spatial encoder, proposals, spatial decoder;
                                        STDME, STPE and STPD on the frame's own memory and queries
    fuse           once per key frame   the window's poses, carried along the motion (STDME) and
                                        averaged (STPE), guided by instance consistency

A window of one frame is exactly what `encode_frame` gives. `forward` runs both on clips,
`vepe.models.streaming` on the frames of a stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.alignment import Alignment, FrameMotion, grey_images
from vepe.models.backbone import Backbone
from vepe.models.decoder_layer import PoseOutput
from vepe.models.instance_consistency import Appearance, IdentityHead, InstanceConsistency
from vepe.models.memory import Memory, SpatialEncoder, padding_by_level
from vepe.models.memory_encoder import MemoryEncoder
from vepe.models.neck import FpnNeck, HighResolutionFeatures
from vepe.models.pose_decoder import PoseDecoder
from vepe.models.pose_encoder import PoseEncoder
from vepe.models.pose_fusion import PoseFusion
from vepe.models.proposals import ProposalHead
from vepe.models.spatial_decoder import DenoisingQueries, SpatialDecoder
from vepe.models.streaming import FrameMemory, FrameOutput, fuse_clips


class Vepe(nn.Module):
    """Video end-to-end pose estimation; `vepe.models.build` makes it from a configuration.

    Args: the parts (those that may be None are optional), and
        window: number of frames that a key frame reads, itself included.
        lookahead: how far after the key frame they lie at most (0: causal).
        memory_interval_s: shortest time between two frames in memory; 0 keeps every frame.
        alignment: how joints are carried between frames; `none` leaves them where they are.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        pyramid: FpnNeck,
        fine_map: HighResolutionFeatures | None,
        appearance: Appearance | None,
        spatial_encoder: SpatialEncoder,
        proposals: ProposalHead,
        spatial_decoder: SpatialDecoder,
        identity: IdentityHead,
        consistency: InstanceConsistency,
        pose_decoder: PoseDecoder,
        pose_encoder: PoseEncoder | None,
        memory_encoder: MemoryEncoder | None,
        pose_fusion: PoseFusion,
        window: int,
        lookahead: int = 0,
        memory_interval_s: float = 0.0,
        alignment: Alignment = "flow",
    ) -> None:
        super().__init__()
        # Attribute names and their order are those of the weights files.
        self.backbone, self.pyramid = backbone, pyramid
        self.fine_map, self.appearance = fine_map, appearance
        self.spatial_encoder, self.proposals = spatial_encoder, proposals
        self.spatial_decoder, self.identity = spatial_decoder, identity
        self.consistency, self.pose_decoder = consistency, pose_decoder
        self.pose_encoder, self.memory_encoder = pose_encoder, memory_encoder
        self.pose_fusion, self.alignment = pose_fusion, alignment
        self.window, self.lookahead, self.memory_interval_s = window, lookahead, memory_interval_s
        self.stride = pyramid.strides[-1]  # height and width of the input are multiples of it

    def encode_frame(
        self,
        images: Float[Tensor, "B 3 H W"],
        padding: Bool[Tensor, "B H W"] | None = None,
        denoising: DenoisingQueries | None = None,
        *,
        all_cells: bool = False,
        features: list[Float[Tensor, "B c h w"]] | None = None,
        skip_last: bool = False,
    ) -> tuple[FrameMemory, FrameOutput]:
        """Encodes each frame on its own: what `fuse` reads of it, and what the losses read.

        Args:
            images: RGB in 0..1; H and W multiples of `stride`, else a ValueError is raised.
            padding: True where a pixel is not part of the image.
            denoising: noised poses to decode too, in training.
            all_cells: also output the predictions of all cells, which the losses need.
            features: the backbone's maps of the images, if they are known.
            skip_last: leave out the last layer of the spatial decoder.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height} x {width} is not a multiple of the stride {self.stride}")
        features = self.backbone(images) if features is None else features
        maps = self.pyramid(features, height, width)
        fine = None if self.fine_map is None else self.fine_map(features[0], maps[0])
        strides = self.pyramid.strides
        memory = Memory(maps, padding_by_level(padding, strides), strides, fine)
        memory = self.spatial_encoder(memory)
        proposals = self.proposals(memory, all_cells=all_cells)
        queries, layers = self.spatial_decoder(memory, proposals, denoising, skip_last=skip_last)
        people = slice(proposals.score_logits.shape[1])  # denoising queries come after them
        queries, poses = queries[:, people], layers[-1].people(people).detach()  # (B, N, J, C)
        appearance = None
        if self.appearance is not None:
            confidence, size = poses.confidence_logits.sigmoid(), memory.image_wh_px
            appearance = self.appearance(features[0], poses.keypoints_px, confidence, size)
        identity = self.identity(queries[:, :, 0], appearance)
        if self.memory_encoder is not None:
            memory = self.memory_encoder(memory)
        if self.pose_encoder is not None:
            queries = self.pose_encoder(queries)
        refined = self.pose_decoder(queries, poses.keypoints_px, memory)
        grey = grey_images(images) if self.alignment == "flow" else None
        finished = PoseOutput.of(self.pose_decoder.calibrated(refined[-1]), identity)
        frame = FrameMemory(finished, grey)
        return frame, FrameOutput(layers, proposals, refined)

    def fuse(
        self,
        window: Sequence[FrameMemory],
        motions: Sequence[FrameMotion | None],
        key: int,
        reads: Sequence[int],
        present: Bool[Tensor, "B T"] | None = None,
    ) -> PoseOutput:
        """Poses of frame `key`, see `gather_candidates`; its own poses without `reads`."""
        if not reads:
            return window[key].poses
        poses = [frame.poses for frame in window]
        return self.pose_fusion(poses, motions, key, reads, self.consistency, present)

    def forward(
        self,
        clips: Float[Tensor, "B T 3 H W"],
        times_s: Float[Tensor, "B T"],
        padding: Bool[Tensor, "B T H W"] | None = None,
        keys: Sequence[int] | None = None,
    ) -> list[PoseOutput]:
        """Poses of the frames `keys` (None: all) of every clip, frame by frame as in a stream."""
        images = clips.unbind(1)
        paddings = [None] * len(images) if padding is None else padding.unbind(1)
        frames = [self.encode_frame(i, p)[0] for i, p in zip(images, paddings, strict=True)]
        keys = range(len(frames)) if keys is None else keys
        return fuse_clips(self, frames, times_s, keys, self.memory_interval_s)
