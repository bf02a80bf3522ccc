"""Build what a config section describes, with errors that name the nearest known name."""
from __future__ import annotations

from typing import Any

from mmengine.registry import Registry

from mmseg.errors import DataError
from mmseg.utils.names import nearest
from mmseg.utils.options import parameters


def known_arguments(cls: type) -> list[str]:
    """Names of the keyword arguments that ``cls`` takes, following ``**kwargs`` to the parent classes."""
    return list(dict.fromkeys(parameter.name for parameter, _ in parameters(cls)))


def build(registry: Registry, cfg: dict[str, Any], what: str) -> Any:
    """Build ``cfg = dict(type=..., **arguments)`` from a registry.

    Args:
        what: how messages call the thing, e.g. 'transform'.

    Raises:
        DataError: for a missing or unknown type and for unknown arguments.
    """
    arguments = dict(cfg)
    name = arguments.pop('type', None)
    if name is None:
        raise DataError(f'a {what} needs a type: {cfg}')
    if not isinstance(name, str):
        return name(**arguments)
    cls = registry.get(name)
    if cls is None:
        raise DataError(f'unknown {what} {name!r}: {nearest(name, registry.module_dict)}')
    known = known_arguments(cls)
    for key in arguments:
        if key not in known:
            raise DataError(f'the {what} {name} has no argument {key!r}: {nearest(key, known)}')
    try:
        return cls(**arguments)
    except TypeError as error:
        raise DataError(f'{what} {name}: {error}') from error
