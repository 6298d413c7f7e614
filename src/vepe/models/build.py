"""Builds a model from its configuration; the only module of the room that reads one.

To add an option to a part, give the part an argument, the config a field with the old behaviour as
its default, and pass it on here.
"""

from __future__ import annotations

from vepe.config.model import ModelConfig
from vepe.errors import VepeError
from vepe.models.backbone import Backbone
from vepe.models.instance_consistency import Appearance, IdentityHead, InstanceConsistency
from vepe.models.memory import SpatialEncoder
from vepe.models.memory_encoder import MemoryEncoder
from vepe.models.neck import FpnNeck, HighResolutionFeatures
from vepe.models.pose_decoder import PoseDecoder
from vepe.models.pose_encoder import PoseEncoder
from vepe.models.pose_fusion import PoseFusion
from vepe.models.proposals import ProposalHead
from vepe.models.spatial_decoder import SpatialDecoder
from vepe.models.vepe import Vepe


def build_model(config: ModelConfig, *, pretrained_backbone: bool = False) -> Vepe:
    """A model with fresh weights.

    Args:
        config: its parts and sizes.
        pretrained_backbone: let timm download ImageNet weights of the backbone.

    Raises:
        VepeError: if timm has no such backbone, or the backbone lacks a stride that is needed.
    """
    c, temporal = config, config.temporal
    finest = c.strides[0] // 2  # of the high-resolution features
    strides = (finest, *c.strides) if c.high_resolution_dim else c.strides
    backbone = Backbone(c.backbone, strides, pretrained=pretrained_backbone)
    if c.high_resolution_dim and backbone.strides[0] != finest:
        raise VepeError(
            f"Backbone '{c.backbone}' has no map at stride {finest}; "
            "set `high_resolution_dim` to 0."
        )
    levels, keypoints = len(c.strides), len(c.skeleton)
    sizes = {"dim": c.dim, "heads": c.heads, "points": c.points, "hidden": c.hidden}
    # Parts are made in a fixed order: fresh weights depend on it.
    memory_encoder = pose_encoder = appearance = high_resolution = None
    if temporal.memory_encoder:
        memory_encoder = MemoryEncoder(
            **sizes,
            layers=temporal.memory_encoder_layers,
            levels=temporal.memory_encoder_levels,
            num_levels=levels,
        )
    if temporal.pose_encoder:
        pose_encoder = PoseEncoder(c.dim, c.hidden, temporal.pose_encoder_layers)
    if c.consistency.enabled and c.consistency.appearance:
        width = c.consistency.appearance
        appearance = Appearance(backbone.channels[0], keypoints, width, c.dim)
    pyramid = FpnNeck(backbone.channels, backbone.strides, c.strides, c.dim)
    spatial_encoder = SpatialEncoder(
        **sizes,
        layers=c.spatial_encoder.layers,
        levels=c.spatial_encoder.levels,
        num_levels=levels,
    )
    proposals = ProposalHead(c.dim, keypoints, c.queries)
    spatial_decoder = SpatialDecoder(
        **sizes,
        layers=c.spatial_decoder.layers,
        levels=levels,
        keypoints=keypoints,
        refine=c.keypoint_search,
        high_resolution_dim=c.high_resolution_dim,
    )
    identity = IdentityHead(c.dim, c.consistency.dim)
    consistency = InstanceConsistency(
        c.consistency.matching if c.consistency.enabled else "uniform"
    )
    pose_decoder = PoseDecoder(
        **sizes,
        layers=temporal.pose_decoder_layers,
        levels=levels,
        refine=c.keypoint_search,
        high_resolution_dim=c.high_resolution_dim,
    )
    if c.high_resolution_dim:
        high_resolution = HighResolutionFeatures(backbone.channels[0], c.dim, c.high_resolution_dim)
    return Vepe(
        backbone=backbone,
        pyramid=pyramid,
        fine_map=high_resolution,
        appearance=appearance,
        spatial_encoder=spatial_encoder,
        proposals=proposals,
        spatial_decoder=spatial_decoder,
        identity=identity,
        consistency=consistency,
        pose_decoder=pose_decoder,
        pose_encoder=pose_encoder,
        memory_encoder=memory_encoder,
        pose_fusion=PoseFusion(),
        window=temporal.window,
        lookahead=temporal.lookahead,
        memory_interval_s=temporal.memory_interval_s,
        alignment=temporal.alignment,
    )
