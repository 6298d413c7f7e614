"""The only place where a configuration becomes modules."""

from __future__ import annotations

from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.models.backbone import Backbone
from vepe.models.decoder_layer import IdentityHead
from vepe.models.instance_consistency import Appearance, InstanceConsistency
from vepe.models.memory_encoder import MemoryEncoder
from vepe.models.neck import HighResolutionFeatures, Pyramid
from vepe.models.pose_decoder import PoseDecoder
from vepe.models.pose_encoder import PoseEncoder
from vepe.models.proposals import ProposalHead
from vepe.models.spatial_decoder import SpatialDecoder
from vepe.models.spatial_encoder import SpatialEncoder
from vepe.models.vepe import Vepe, VepeParts


def build_model(config: ModelConfig, *, pretrained_backbone: bool = False) -> Vepe:
    """A model with fresh weights.

    Args:
        config: what it is made of.
        pretrained_backbone: let timm download ImageNet weights of the backbone.
    """
    c, temporal = config, config.temporal
    finer = c.strides[0] // 2
    wanted = (finer, *c.strides) if c.fine else c.strides
    backbone = Backbone(c.backbone, wanted, pretrained=pretrained_backbone)
    if c.fine and backbone.strides[0] != finer:
        raise VepeError(f"Backbone '{c.backbone}' has no map at stride {finer}; set `fine` to 0.")
    levels, keypoints = len(c.strides), len(c.skeleton)
    layer = {"dim": c.dim, "heads": c.heads, "points": c.points, "hidden": c.hidden}
    memory_encoder = None
    if temporal.memory_encoder:
        memory_encoder = MemoryEncoder(
            **layer,
            layers=temporal.memory_encoder_layers,
            levels=temporal.memory_encoder_levels,
            total=levels,
        )
    pose_encoder = None
    if temporal.pose_encoder:
        pose_encoder = PoseEncoder(c.dim, c.heads, c.hidden, temporal.pose_encoder_layers)
    appearance = None
    if c.consistency.enabled and c.consistency.appearance:
        width = c.consistency.appearance
        appearance = Appearance(backbone.channels[0], keypoints, width, c.dim)
    parts = VepeParts(
        backbone=backbone,
        pyramid=Pyramid(backbone.channels, backbone.strides, c.strides, c.dim),
        spatial_encoder=SpatialEncoder(
            **layer,
            layers=c.spatial_encoder.layers,
            levels=c.spatial_encoder.levels,
            total=levels,
        ),
        proposals=ProposalHead(c.dim, keypoints, c.queries),
        spatial_decoder=SpatialDecoder(
            **layer,
            layers=c.spatial_decoder.layers,
            levels=levels,
            keypoints=keypoints,
            search=c.keypoint_search,
            fine=c.fine,
        ),
        identity=IdentityHead(c.dim, c.consistency.dim),
        consistency=InstanceConsistency(
            c.consistency.matching if c.consistency.enabled else "uniform"
        ),
        pose_encoder=pose_encoder,
        memory_encoder=memory_encoder,
        pose_decoder=PoseDecoder(
            **layer,
            layers=temporal.pose_decoder_layers,
            levels=levels,
            search=c.keypoint_search,
            fine=c.fine,
        ),
        fine_map=HighResolutionFeatures(backbone.channels[0], c.dim, c.fine) if c.fine else None,
        appearance=appearance,
    )
    return Vepe(
        parts,
        window=temporal.window,
        lookahead=temporal.lookahead,
        spacing_s=temporal.spacing_s,
    )
