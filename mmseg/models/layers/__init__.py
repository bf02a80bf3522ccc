"""Layers that several networks share."""
from mmseg.models.layers.aspp import ASPPWrapper, aspp_branches
from mmseg.models.layers.conv_module import ConvModule, DepthwiseSeparableConvModule, Scale
from mmseg.models.layers.drop_path import DropPath
from mmseg.models.layers.embedding import MLP
from mmseg.models.layers.factory import build_layer
from mmseg.models.layers.isa import ISALayer, Relation, interlaced_attention
from mmseg.models.layers.pooling import PoolingBranch, PyramidPooling
from mmseg.models.layers.quick_conv import QuickConv2d
from mmseg.models.layers.recompute import recomputed
from mmseg.models.layers.resize import resize
from mmseg.models.layers.self_attention import SelfAttentionBlock
from mmseg.models.layers.tokens import to_map, to_tokens

__all__ = [
    'MLP', 'ASPPWrapper', 'ConvModule', 'DepthwiseSeparableConvModule', 'DropPath', 'ISALayer', 'PoolingBranch',
    'PyramidPooling', 'QuickConv2d', 'Relation', 'Scale', 'SelfAttentionBlock', 'aspp_branches', 'build_layer',
    'interlaced_attention', 'recomputed', 'resize', 'to_map', 'to_tokens'
]
