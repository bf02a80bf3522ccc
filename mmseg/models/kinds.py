"""Kinds of the sections that a model is made of."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mmengine.model  # noqa: F401  registers ways to initialise
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


PART = Part(MODELS)
BACKBONE = Part(MODELS, IMTRv21_5)
SAMPLER = Part(PIXEL_SAMPLERS)
PRETRAINED = Section(dict(type=one_of(['Pretrained']), checkpoint=NAME)) | NONE
INITIALISATION = Typed(WEIGHT_INITIALIZERS.module_dict.copy, options, more=dict(
    layer=NAMES | NONE, override=DICT, mean=NUMBER, a=NUMBER, b=NUMBER, val=NUMBER, bias=NUMBER, std=AMOUNT)) | NONE
TEST = Section(dict(mode=one_of(['whole', 'slide']), crop_size=SIZE, stride=SIZE, batched_slide=FLAG))
