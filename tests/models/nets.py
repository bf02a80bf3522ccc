"""Small networks for tests."""
from __future__ import annotations

from typing import Any

from torch import nn

from mmseg.models import build_segmentor

BN = dict(type='BN', requires_grad=True)
FUSION = dict(type='aspp', sep=True, dilations=(1, 6), pool=False, act_cfg=dict(type='ReLU'), norm_cfg=BN)
LAYERS = {
    'id': dict(type='id'),
    'mlp': dict(type='mlp', act_cfg=None, norm_cfg=None),
    'conv': dict(type='conv', kernel_size=1, act_cfg=dict(type='ReLU'), norm_cfg=BN),
    'sep_conv': dict(type='sep_conv', kernel_size=3, act_cfg=dict(type='ReLU'), norm_cfg=BN),
    'aspp': FUSION,
    'rawconv_and_aspp': {**FUSION, 'type': 'rawconv_and_aspp', 'kernel_size': 1},
    'isa': dict(type='isa', isa_channels=16, down_factor=(8, 8), act_cfg=dict(type='ReLU'), norm_cfg=BN),
}


def backbone(**changes: Any) -> dict[str, Any]:
    """Config of a tiny Mix Transformer with widths 8, 16, 24, 32."""
    return dict(type='MixVisionTransformer', embed_dims=(8, 16, 24, 32), num_heads=(1, 2, 3, 4), depths=(1, 1, 1, 1),
                **changes)


def head(num_classes: int = 5, embed: str = 'mlp', neck: str = 'mlp', fusion: str = 'aspp') -> dict[str, Any]:
    """Config of a narrow DAFormer head."""
    return dict(
        type='DAFormerHead',
        in_channels=[8, 16, 24, 32],
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=num_classes,
        norm_cfg=BN,
        decoder_params=dict(
            embed_dims=[8, 16, 24, 32] if embed == 'id' else 16,
            embed_cfg=LAYERS[embed],
            embed_neck_cfg=LAYERS[neck],
            fusion_cfg=LAYERS[fusion]))


def segmentor(**changes: Any) -> nn.Module:
    """A tiny EncoderDecoder; ``changes`` go into its config."""
    return build_segmentor({'type': 'EncoderDecoder', 'backbone': backbone(), 'decode_head': head(), **changes})


def hrda_config(num_classes: int = 5, decode_head: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Config of a tiny HRDAEncoderDecoder; ``decode_head`` goes into its head's config, ``changes`` into its own."""
    inner = head(num_classes)
    config = dict(
        type='HRDAEncoderDecoder',
        backbone=backbone(),
        decode_head={**inner, 'type': 'HRDAHead', 'single_scale_head': inner['type'], 'attention_embed_dim': 16,
                     'hr_loss_weight': 0.1, **(decode_head or {})},
        scales=[1, 0.5],
        hr_crop_size=(64, 64),
        feature_scale=0.5,
        crop_coord_divisible=8)
    return {**config, **changes}


def hrda(num_classes: int = 5, decode_head: dict[str, Any] | None = None, **changes: Any) -> nn.Module:
    """A tiny HRDAEncoderDecoder; see :func:`hrda_config`."""
    return build_segmentor(hrda_config(num_classes, decode_head, **changes))
