"""Norms, activations and convolutions by the names that configs give them, and what a config may say about each."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from torch import nn

from mmseg.models.layers.quick_conv import QuickConv2d
from mmseg.utils.kinds import FLAG, NONE, SHARE, Kind, Typed
from mmseg.utils.options import options

NORMS = dict(BN=nn.BatchNorm2d, BN2d=nn.BatchNorm2d, SyncBN=nn.SyncBatchNorm, GN=nn.GroupNorm, IN=nn.InstanceNorm2d,
             IN2d=nn.InstanceNorm2d)
ACTIVATIONS = dict(ReLU=nn.ReLU, LeakyReLU=nn.LeakyReLU, PReLU=nn.PReLU, RReLU=nn.RReLU, ReLU6=nn.ReLU6, ELU=nn.ELU,
                   Sigmoid=nn.Sigmoid, Tanh=nn.Tanh, SiLU=nn.SiLU, GELU=nn.GELU, HSigmoid=nn.Hardsigmoid,
                   HSwish=nn.Hardswish, Swish=nn.SiLU)
CONVOLUTIONS = dict(Conv2d=nn.Conv2d, Conv=nn.Conv2d, QuickConv2d=QuickConv2d)

# State-dict prefix of each kind of norm.
_PREFIXES = {nn.BatchNorm2d: 'bn', nn.SyncBatchNorm: 'bn', nn.GroupNorm: 'gn', nn.InstanceNorm2d: 'in'}


def _thing(table: Mapping[str, Callable[..., nn.Module]], cfg: Mapping[str, Any]) -> Callable[..., nn.Module]:
    if cfg['type'] not in table:
        raise ValueError(f'{cfg["type"]!r} is not known: choose one of {", ".join(table)}')
    return table[cfg['type']]


def _arguments(cfg: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in cfg.items() if key not in ('type', *names)}


def build_norm(cfg: Mapping[str, Any], channels: int, postfix: int | str = '') -> tuple[str, nn.Module]:
    """A norm and its name in state dicts.

    Args:
        cfg: its ``type`` and arguments; ``requires_grad=False`` freezes its weights.
        channels: of the maps that it normalises.
        postfix: end of the name.

    Raises:
        ValueError: if the type is unknown.
    """
    kind, arguments = _thing(NORMS, cfg), _arguments(cfg, 'requires_grad')
    norm = kind(num_channels=channels, **arguments) if kind is nn.GroupNorm else kind(channels, **arguments)
    return f'{_PREFIXES[kind]}{postfix}', norm.requires_grad_(cfg.get('requires_grad', True))


def build_activation(cfg: Mapping[str, Any], inplace: bool) -> nn.Module:
    """An activation, in place if it can and ``inplace`` asks for it or ``cfg`` does.

    Raises:
        ValueError: if the type is unknown.
    """
    kind = _thing(ACTIVATIONS, cfg)
    default = dict(inplace=inplace) if 'inplace' in signature(kind).parameters else {}
    return kind(**{**default, **_arguments(cfg)})


def build_conv(cfg: Mapping[str, Any] | None, *sizes: int, **arguments: Any) -> nn.Module:
    """A convolution; ``cfg`` None is the usual one.

    Args:
        cfg: its ``type`` and further arguments.
        sizes: input channels, output channels, kernel.
        arguments: ``stride``, ``padding``, ... of ``nn.Conv2d``.

    Raises:
        ValueError: if the type is unknown.
    """
    cfg = cfg or dict(type='Conv2d')
    return _thing(CONVOLUTIONS, cfg)(*sizes, **arguments, **_arguments(cfg))


def _free(thing: Callable) -> dict[str, Kind]:
    """What a config may say of a layer: all but what the network says."""
    given = {'num_features', 'num_channels', 'in_channels', 'out_channels', 'kernel_size', 'stride', 'padding',
             'dilation', 'groups', 'device', 'dtype'}
    ranges = dict(momentum=SHARE | NONE)
    return {name: ranges.get(name, kind) for name, kind in options(thing).items() if name not in given}


NORM = Typed(lambda: NORMS, _free, more=dict(requires_grad=FLAG))
ACTIVATION = Typed(lambda: ACTIVATIONS, _free)
CONVOLUTION = Typed(lambda: CONVOLUTIONS, _free)
SECTIONS = dict(norm_cfg=NORM | NONE, act_cfg=ACTIVATION | NONE, conv_cfg=CONVOLUTION | NONE)
