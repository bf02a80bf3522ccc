"""Kinds of values that a config may hold: what a class says of its arguments where a type hint cannot.

A kind has a text for messages and yields what is wrong with a value, each problem with its full dotted key.
"""
from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from mmseg.utils.names import nearest

NEAR = 0.8  # likeness (difflib) from which a free name counts as a slip of the keyboard


class Problem(NamedTuple):
    """What is wrong with a value.

    Attributes:
        key: dotted key.
        word: the name or value that is wrong, as it stands in the file.
        text: the message, without the key.
    """
    key: str
    word: str
    text: str


class Missing(Problem):
    """A key that has to be there and is not."""


class Kind:
    """Values that pass a test.

    Args:
        text: how messages call such a value, e.g. 'a number above 0'.
        test: whether a value is one.
    """

    def __init__(self, text: str, test: Callable[[Any], bool]) -> None:
        self.text, self.test = text, test

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind, whatever is inside of it."""
        return self.test(value)

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """What is wrong with the value of a dotted key."""
        if not self.fits(value):
            yield Problem(key, _last(key), f'has to be {self.text}, not {value!r}{_hint(value, self.text)}')

    def __or__(self, other: Kind) -> Kind:
        return Either(self, other)


class Either(Kind):
    """Values of one of several kinds; the first that fits says what is wrong inside."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds: list[Kind] = [
            part for kind in kinds for part in (kind.kinds if isinstance(kind, Either) else [kind])]
        super().__init__(' or '.join(dict.fromkeys(kind.text for kind in self.kinds)),
                         lambda value: any(kind.fits(value) for kind in self.kinds))

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """None, if one of the kinds fits and finds none inside."""
        fitting = [kind for kind in self.kinds if kind.fits(value)]
        yield from fitting[0].problems(value, key) if fitting else super().problems(value, key)


class Needed(Kind):
    """Values of another kind, whose key a section cannot do without."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.text, kind.fits)
        self.kind = kind

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of the inner kind."""
        yield from self.kind.problems(value, key)


class Each(Kind):
    """Lists whose entries are sections of one kind.

    Args:
        kind: of the entries.
        empty: whether there may be none.
    """

    def __init__(self, kind: Kind, empty: bool = True) -> None:
        super().__init__('a list' if empty else 'a list with entries',
                         lambda value: _is_list(value) and (empty or len(value) > 0))
        self.kind = kind

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of a value that is no list, or of its entries, at ``<key>.<position>``."""
        yield from super().problems(value, key)
        for position, entry in enumerate(value if self.fits(value) else ()):
            yield from self.kind.problems(entry, f'{key}.{position}')


class Section(Kind):
    """Dicts with known keys.

    Args:
        kinds: of the values, by key.
        free: whether further keys are allowed, unless their names are near to known ones.
    """

    def __init__(self, kinds: Mapping[str, Kind], free: bool = False) -> None:
        super().__init__('a dict', lambda value: isinstance(value, dict))
        self.kinds, self.free = kinds, free

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of unknown keys, and of the values of known ones."""
        yield from super().problems(value, key)
        for name, entry in value.items() if self.fits(value) else ():
            path = f'{key}.{name}' if key else str(name)
            if name in self.kinds:
                yield from self.kinds[name].problems(entry, path)
            elif not self.free or difflib.get_close_matches(str(name), self.kinds, 1, NEAR):
                yield unknown(name, self.kinds, path)
        for name, kind in self.kinds.items() if self.fits(value) else ():
            if isinstance(kind, Needed) and name not in value:
                yield Missing(f'{key}.{name}', _last(key), f'is missing, it has to be {kind.text}')


class Fixed(Kind):
    """What no config may give, because the class sets it itself."""

    def __init__(self) -> None:
        super().__init__('nothing', lambda value: False)

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Always one: no value is right."""
        yield Problem(key, _last(key), 'is set by the class itself, not by a config: remove it')


class Values(Kind):
    """Dicts with free keys and values of one kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__('a dict', lambda value: isinstance(value, dict))
        self.kind = kind

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of a value that is no dict, or of its entries."""
        yield from Section(dict.fromkeys(value, self.kind) if self.fits(value) else {}).problems(value, key)


class Typed(Kind):
    """Dicts whose ``type`` names one of several things; the other keys are those of that thing.

    Args:
        table: gives the things by name; called when a value is checked, so that classes may register later.
        read: gives the keys of a thing with their kinds.
        key: another key than 'type'.
        default: the name where the key is missing; None: it has to be there.
        more: kinds of further keys, and of those that the things do not say well enough.
    """

    def __init__(self, table: Callable[[], Mapping[str, Any]], read: Callable[[Any], Mapping[str, Kind]],
                 key: str = 'type', default: str | None = None, more: Mapping[str, Kind] | None = None) -> None:
        super().__init__('a dict', lambda value: isinstance(value, dict))
        self.table, self.read, self.key, self.default, self.more = table, read, key, default, more or {}

    def problems(self, value: Any, key: str) -> Iterator[Problem]:
        """Those of a missing or unknown ``type``, or of the arguments of what it names."""
        yield from super().problems(value, key)
        if self.fits(value):
            yield from self._named(value, key)

    def _named(self, value: dict[str, Any], key: str) -> Iterator[Problem]:
        name, table = value.get(self.key, self.default), self.table()
        if name is None:
            yield Problem(key, _last(key), f'{self.key} is missing')
        elif not isinstance(name, str):
            yield Problem(key, _last(key), f'{self.key} has to be a name, not {name!r}')
        elif name not in table:
            yield unknown(name, table, f'{key}.{self.key}')
        else:
            yield from self.section(table[name], value).problems({k: v for k, v in value.items() if k != self.key}, key)

    def section(self, thing: Any, value: dict[str, Any]) -> Section:
        """What one of the things knows, if it is named by ``value``."""
        return Section({**self.read(thing), **self.more})


def unknown(word: Any, known: Collection[str], key: str) -> Problem:
    """The problem of a key or type ``word`` at the dotted key ``key``."""
    return Problem(key, str(word), f'{word!r} is not known, {nearest(word, known)}')


def number(least: float = 0, most: float = math.inf, *, above: float | None = None, below: float | None = None,
           infinite: bool = False) -> Kind:
    """The kind of numbers from ``least`` to ``most``, or above ``above``, or below ``below``.

    Never NaN, infinite only if that is said.
    """
    low = f'above {above:g}' if above is not None else f'of at least {least:g}'
    text = 'a number'
    if most < math.inf:
        text += f' from {least:g} to {most:g}' if above is None else f' {low}, at most {most:g}'
    elif above is not None or least > -math.inf:
        text += f' {low}'
    if below is not None:
        text += f', below {below:g}'
    return Kind(text, lambda value: _is_number(value) and (infinite or math.isfinite(value)) and least <= value <= most
                and (above is None or value > above) and (below is None or value < below))


def whole(least: float = 0, most: float = math.inf) -> Kind:
    """The kind of whole numbers from ``least`` to ``most``."""
    lower = f' of at least {least:g}' if least > -math.inf else ''
    return Kind(f'a whole number from {least:g} to {most:g}' if most < math.inf else f'a whole number{lower}',
                lambda value: isinstance(value, int) and _is_number(value) and least <= value <= most)


def one_of(names: Collection[Any]) -> Kind:
    """The kind of a value that is one of a few."""
    return Kind(f'one of {", ".join(map(repr, names))}', lambda value: any(
        value == name and type(value) is type(name) for name in names))


def list_of(kind: Kind, length: int | None = None) -> Kind:
    """The kind of lists of plain values, of any length but 0, or of one."""
    size = 'values' if length is None else f'{length} values'
    return Kind(f'a list of {size}, each {kind.text}', lambda value: _is_list(value) and (
        len(value) > 0 if length is None else len(value) == length) and all(kind.fits(entry) for entry in value))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or isinstance(value, int) and not isinstance(value, bool) and _fits(value)


def _fits(number: int) -> bool:
    return abs(number) < 2**63  # larger ones can be no tensor, and some not even a float


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _last(key: str) -> str:
    return key.rpartition('.')[2]


def _hint(value: Any, text: str) -> str:
    if isinstance(value, str) and text.startswith('a number'):
        return '; YAML reads an exponent only with a point and a sign, as in 6.0e-05'
    if isinstance(value, int) and not _fits(value):
        return ', which does not fit into 64 bits'
    return ''


ANY = Kind('anything', lambda value: True)
NONE = Kind('None', lambda value: value is None)
DICT = Kind('a dict', lambda value: isinstance(value, dict))
FLAG = Kind('True or False', lambda value: isinstance(value, bool))
NAME = Kind('a text', lambda value: isinstance(value, str) and '\0' not in value)
PATH = Kind('the path of a file', lambda value: NAME.fits(value) and value.strip() != '')
FIXED = Fixed()
NAMES = NAME | list_of(NAME)
NUMBER = number(-math.inf)
AMOUNT = number()
POSITIVE = number(above=0)
SHARE = number(0, 1)
RATE = number(0, below=1)  # of what is dropped: all of it leaves nothing to scale up
INTEGER = whole(-math.inf)
WHOLE = whole()
COUNT = whole(1)
LABEL = whole(0, 255)
SEED = whole(0, 2**63 - 1)  # what torch takes
SIZE = list_of(COUNT, 2)
RANGE = list_of(AMOUNT, 2)
