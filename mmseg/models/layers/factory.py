"""The layer types that DAFormer's decoder configs name."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from mmseg.models.layers.aspp import QUICK, ASPPWrapper
from mmseg.models.layers.conv_module import ConvModule, DepthwiseSeparableConvModule
from mmseg.models.layers.embedding import MLP
from mmseg.models.layers.isa import ISALayer
from mmseg.models.layers.named import SECTIONS
from mmseg.utils.kinds import COUNT, NONE, SIZE, Kind, Needed, Typed, list_of
from mmseg.utils.options import options


def _identity(in_channels: int, out_channels: int, **_: Any) -> nn.Module:
    return nn.Identity()


def _mlp(in_channels: int, out_channels: int, **_: Any) -> nn.Module:
    return MLP(in_channels, out_channels)


def _conv(in_channels: int, out_channels: int, kernel_size: int, **kwargs: Any) -> nn.Module:
    conv = {**kwargs, 'conv_cfg': kwargs.get('conv_cfg') or QUICK}
    return ConvModule(in_channels, out_channels, kernel_size, padding=kernel_size // 2, **conv)


def _sep_conv(in_channels: int, out_channels: int, kernel_size: int, **kwargs: Any) -> nn.Module:
    return DepthwiseSeparableConvModule(in_channels, out_channels, kernel_size, padding=kernel_size // 2, **kwargs)


def _rawconv_and_aspp(in_channels: int, out_channels: int, kernel_size: int, **kwargs: Any) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(conv, ASPPWrapper(out_channels, out_channels, **kwargs))


LAYERS = {
    'id': _identity,
    'mlp': _mlp,
    'conv': _conv,
    'sep_conv': _sep_conv,
    'aspp': ASPPWrapper,
    'rawconv_and_aspp': _rawconv_and_aspp,
    'isa': ISALayer,
}

# What the options of each type belong to.
_TAKERS = {
    'id': (),
    'mlp': (),
    'conv': (_conv, ConvModule),
    'sep_conv': (_sep_conv, DepthwiseSeparableConvModule),
    'aspp': (ASPPWrapper, ),
    'rawconv_and_aspp': (_rawconv_and_aspp, ASPPWrapper),
    'isa': (ISALayer, ),
}
_GIVEN = ('in_channels', 'out_channels', 'channels', 'padding')


def _options(takers: tuple[Callable, ...]) -> dict[str, Kind]:
    """What a layer config may say: without effect for 'id' and 'mlp', every type takes a norm and an activation."""
    found = {name: kind for taker in takers for name, kind in options(taker).items() if name not in _GIVEN}
    own = dict(SECTIONS, kernel_size=COUNT, dilations=list_of(COUNT), isa_channels=COUNT, down_factor=SIZE,
               context_cfg=LAYER | NONE)
    needed = {name for name, kind in found.items() if isinstance(kind, Needed)}
    return {name: Needed(own[name]) if name in own and name in needed else own.get(name, found.get(name))
            for name in {*found, 'norm_cfg', 'act_cfg'}}


LAYER = Typed(lambda: _TAKERS, _options)


def build_layer(in_channels: int, out_channels: int, type: str, **kwargs: Any) -> nn.Module:
    """A layer from [B, in_channels, h, w] to [B, out_channels, h, w].

    Args:
        in_channels, out_channels: channels.
        type: a key of ``LAYERS``.
        kwargs: the layer's own options.

    Raises:
        ValueError: if the type is unknown.
    """
    if type not in LAYERS:
        raise ValueError(f'unknown layer type {type!r}: choose one of {", ".join(LAYERS)}')
    return LAYERS[type](in_channels, out_channels, **kwargs)
