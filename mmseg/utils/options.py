"""What a class takes as arguments, read from its signature: the one truth that configs are checked against.

Names, types and choices come from the signature and its type hints. What they cannot say, a class says in ``OPTIONS``,
a dict from argument to :mod:`kind <mmseg.utils.kinds>`, which its subclasses inherit. Numbers are not negative, unless
the default is or ``OPTIONS`` says so.
"""
from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmengine.registry import Registry

from mmseg.utils.kinds import (
    AMOUNT,
    ANY,
    DICT,
    FIXED,
    FLAG,
    INTEGER,
    NAME,
    NONE,
    NUMBER,
    WHOLE,
    Either,
    Kind,
    Needed,
    Problem,
    Section,
    Values,
    list_of,
    one_of,
)

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters(thing: Callable) -> Iterator[tuple[inspect.Parameter, Any]]:
    """The named arguments of a class or function with their hints, following ``**kwargs`` to the parent classes."""
    for function in _constructors(thing):
        found, hints = list(inspect.signature(function).parameters.values()), _hints(function)
        for parameter in found[1:] if isinstance(thing, type) else found:
            if parameter.kind in _NAMED:
                yield parameter, hints.get(parameter.name, Any)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in found):
            return


def registered(registry: Registry) -> Mapping[str, Any]:
    """What is registered, once the modules that do it are imported."""
    registry.import_from_location()
    return registry.module_dict


def takes_more(thing: type) -> bool:
    """Whether further arguments go to something else than the parent classes."""
    every = [inspect.signature(function).parameters.values() for function in _constructors(thing)]
    return bool(every) and all(any(p.kind is p.VAR_KEYWORD for p in found) for found in every)


@cache
def options(thing: Callable) -> Mapping[str, Kind]:
    """The arguments that a config may give to a class or function, with their kinds."""
    kinds: dict[str, Kind] = {}
    for parameter, hint in parameters(thing):
        kinds.setdefault(parameter.name, kind_of(hint, parameter.default))
    for parent in reversed(getattr(thing, '__mro__', ())):
        kinds.update(vars(parent).get('OPTIONS', {}))
    needed = required(thing)
    return {name: Needed(kind) if name in needed and kind is not FIXED else kind for name, kind in kinds.items()}


def required(thing: Callable) -> set[str]:
    """The arguments without a default, in the class itself or where it hands them on to."""
    defaults: dict[str, Any] = {}
    for parameter, _ in parameters(thing):
        defaults.setdefault(parameter.name, parameter.default)
    return {name for name, default in defaults.items() if default is inspect.Parameter.empty}


def optional(thing: Callable) -> dict[str, Kind]:
    """Those arguments that have a default; the program gives the others."""
    names = {parameter.name for parameter, _ in parameters(thing)} - required(thing)
    return {name: kind for name, kind in options(thing).items() if name in names}


class OptionsOf(Kind):
    """Dicts with arguments of a class, of those that have a default.

    Args:
        which: gives the class; called when a value is checked, so that a class can name itself.
    """

    def __init__(self, which: Callable[[], type]) -> None:
        super().__init__('a dict', lambda value: isinstance(value, dict))
        self.which = which

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of unknown arguments, and of the values of known ones."""
        yield from Section(optional(self.which())).problems(value, key)


def kind_of(hint: Any, default: Any = inspect.Parameter.empty) -> Kind:
    """The kind that a type hint describes; without one the default tells."""
    if hint is Any and default not in (inspect.Parameter.empty, None):
        hint = float if type(default) is int else type(default)
    defaults = default if isinstance(default, (list, tuple)) else [default]
    negative = any(isinstance(number, (int, float)) and number < 0 for number in defaults)
    kind = _kind(hint, NUMBER, INTEGER) if negative else _kind(hint, AMOUNT, WHOLE)
    return kind | NONE if default is None and kind is not ANY else kind


def _kind(hint: Any, number: Kind, integer: Kind) -> Kind:
    plain = {None: NONE, type(None): NONE, bool: FLAG, int: integer, float: number, str: NAME, dict: DICT,
             list: list_of(ANY), tuple: list_of(ANY)}
    origin, inner = get_origin(hint), get_args(hint)
    if hint in plain:
        return plain[hint]
    if origin is Literal:
        return one_of(inner)
    if origin in (Union, types.UnionType):
        return _either([_kind(part, number, integer) for part in inner])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Values(_kind(inner[1], number, integer)) if inner else DICT
    if isinstance(origin, type) and issubclass(origin, Collection):
        return _list([_kind(part, number, integer) for part in inner or (Any, ) if part is not ...], ... not in inner)
    return ANY


def _either(kinds: list[Kind]) -> Kind:
    """One of several; what is no plain value cannot stand in a config, if plain ones can."""
    plain = sorted((kind for kind in kinds if kind is not ANY), key=lambda kind: kind is NONE)
    return Either(*plain) if plain and plain != [NONE] else ANY


def _list(kinds: list[Kind], fixed: bool) -> Kind:
    """Lists; a tuple of one type several times has as many entries."""
    return list_of(kinds[0], len(kinds) if fixed and len(kinds) > 1 else None)


def _constructors(thing: Callable) -> list[Callable]:
    if not isinstance(thing, type):
        return [thing]
    return [vars(parent)['__init__'] for parent in thing.__mro__ if '__init__' in vars(parent) and parent is not object]


def _hints(function: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError:  # a hint whose name is imported for type checkers only
        return {}
