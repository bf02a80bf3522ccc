"""Kinds of the sections that a model is made of."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mmcv.cnn  # noqa: F401  registers its layers
import mmengine.model  # noqa: F401  registers ways to initialise
from mmengine.registry import MODELS as LAYERS
from mmengine.registry import WEIGHT_INITIALIZERS, Registry

from mmseg.registry import MODELS, PIXEL_SAMPLERS
from mmseg.utils.kinds import (
    AMOUNT,
    DICT,
    FLAG,
    NAME,
    NAMES,
    NONE,
    NUMBER,
    SIZE,
    Kind,
    Problem,
    Section,
    Typed,
    one_of,
    unknown,
)
from mmseg.utils.options import options, registered, takes_more


class IMTRv21_5:
    """Stands in abstract base files in the place of a backbone; nothing can be built with it."""

    def __init__(self, style: str = 'pytorch') -> None:
        pass


class Part(Typed):
    """A part of a network. What its class does not take itself may go to another one, which ``FURTHER`` names.

    Args:
        registry: of the classes; methods, which are registered beside the networks that they train, are left out.
        also: further classes.
    """

    def __init__(self, registry: Registry, *also: type) -> None:
        super().__init__(lambda: {
            **{name: thing for name, thing in registered(registry).items() if not hasattr(thing, 'config_keys')},
            **{thing.__name__: thing for thing in also}}, options)

    def _named(self, value: dict[str, Any], key: str) -> Iterator[Problem]:
        further = getattr(self._thing(value.get('type')), 'FURTHER', None)
        if further in value and self._thing(value[further]) is None:
            yield unknown(value[further], self.table(), f'{key}.{further}')
            return
        found = list(super()._named(value, key))
        yield from found or self._refused(value, key)

    def _refused(self, value: dict[str, Any], key: str) -> Iterator[Problem]:
        """Arguments beyond those of the class that the network of another library does not take."""
        thing = self._thing(value.get('type'))
        ask = getattr(thing, 'refused_option', None)
        if ask is not None and set(value).difference(options(thing), ['type']):
            name = ask({name: entry for name, entry in value.items() if name != 'type'})
            if name is not None:
                yield Problem(f'{key}.{name}', name, f'{name!r} is not known to {value["type"]}, nor to its network')

    def section(self, thing: Any, value: dict[str, Any]) -> Section:
        """What the class takes, and what the one takes that gets the rest."""
        other = self._thing(value.get(getattr(thing, 'FURTHER', None)))
        return Section({**(options(other) if other else {}), **options(thing)}, free=takes_more(other or thing))

    def _thing(self, name: Any) -> Any:
        return self.table().get(name) if isinstance(name, str) else None


def _named(*names: str) -> Callable[[], Mapping[str, Any]]:
    return lambda: {name: LAYERS.get(name) for name in names}


def _layer(thing: Callable) -> dict[str, Kind]:
    """Arguments of a layer but its sizes, which the network gives."""
    given = {'num_features', 'num_channels', 'normalized_shape', 'in_channels', 'out_channels', 'kernel_size'}
    return {name: kind for name, kind in options(thing).items() if name not in given}


PART = Part(MODELS)
BACKBONE = Part(MODELS, IMTRv21_5)
SAMPLER = Part(PIXEL_SAMPLERS)
NORM = Typed(_named('BN', 'BN1d', 'BN2d', 'BN3d', 'SyncBN', 'GN', 'LN', 'IN', 'IN1d', 'IN2d', 'IN3d'), _layer,
             more=dict(requires_grad=FLAG))
ACTIVATION = Typed(_named('ReLU', 'LeakyReLU', 'PReLU', 'RReLU', 'ReLU6', 'ELU', 'Sigmoid', 'Tanh', 'SiLU', 'Clamp',
                          'Clip', 'GELU', 'HSigmoid', 'HSwish', 'Swish'), _layer)
CONVOLUTION = Typed(_named('Conv2d', 'Conv', 'ConvWS', 'ConvAWS', 'QuickConv2d'), _layer)
CONVOLUTIONS = dict(norm_cfg=NORM | NONE, act_cfg=ACTIVATION | NONE, conv_cfg=CONVOLUTION | NONE)
PRETRAINED = Section(dict(type=one_of(['Pretrained']), checkpoint=NAME)) | NONE
INITIALISATION = Typed(WEIGHT_INITIALIZERS.module_dict.copy, options, more=dict(
    layer=NAMES | NONE, override=DICT, mean=NUMBER, a=NUMBER, b=NUMBER, val=NUMBER, bias=NUMBER, std=AMOUNT)) | NONE
TEST = Section(dict(mode=one_of(['whole', 'slide']), crop_size=SIZE, stride=SIZE, batched_slide=FLAG))
