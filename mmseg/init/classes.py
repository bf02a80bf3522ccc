"""Which values of the masks are which classes, from the names that the user gives or from the values alone."""
from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mmseg.datasets.folder import read_classes
from mmseg.doctor.survey import named
from mmseg.errors import DataError
from mmseg.utils.labels import IGNORED

VALUE = re.compile(r'(\d{1,5}|#[0-9a-f]{6})')
FILES = ('.txt', '.json', '.yaml', '.yml')
HOW = 'write --classes VALUE=NAME ... (7=road, or #804080=road; several values may be one class)'
# Values that mean "nothing known" wherever they occur beside at least two others.
VOID = str(IGNORED)


@dataclass(frozen=True)
class Classes:
    """The classes of the masks.

    Attributes:
        names: in the order of their indices.
        of: class index by value as it stands in the masks ('7', '#804000'); 255 leaves pixels out.
        plain: whether ids are class indices, so that no label_map is needed.
        others_left_out: whether values that are not in ``of`` are left out, too.
        palette: (red, green, blue) of each class, if the user gave them.
        why: what was found, in sentences.
    """
    names: list[str]
    of: Mapping[str, int]
    plain: bool
    others_left_out: bool = False
    palette: list[list[int]] | None = None
    why: list[str] = field(default_factory=list)

    def values(self, index: int) -> list[str]:
        """The values that are one class."""
        return [value for value, c in self.of.items() if c == index]

    @property
    def label_map(self) -> dict[int | str, str | None] | None:
        """As ``FolderDataset`` takes it."""
        if self.plain:
            return None
        found: dict[int | str, str | None] = {
            value if value.startswith('#') else int(value): None if c == IGNORED else self.names[c]
            for value, c in self.of.items()}
        return {**found, '*': None} if self.others_left_out else found


def find_classes(source: Sequence[str], target: Sequence[str], given: Sequence[str], unlabelled: Sequence[str]
                 ) -> Classes:
    """Give each value a class.

    Args:
        source: values in the masks of the source, ids in ascending order.
        target: those in the masks of the target, if there are any.
        given: names of classes, ``VALUE=NAME``, or one file of them.
        unlabelled: values that the user calls unlabelled.

    Raises:
        DataError: if names and values do not fit together, or less than two classes are left.
    """
    entries, palette = _entries(given)
    values = [*source, *(value for value in target if value not in source)]
    void = {_as_in_masks(value, values) for value in unlabelled}
    strange = sorted(void - set(values))
    if strange:
        raise DataError(f'--unlabelled names {named(strange)}, the masks hold {named(values, 20)}')
    ids = {value: number for value in values if (number := _number(value)) is not None}
    if not void and len(values) > 2:
        void |= {value for value, number in ids.items() if number == IGNORED}
    if palette is not None and any(value not in ids for value in values):
        entries = [f'#{r:02x}{g:02x}{b:02x}={name}' for name, (r, g, b) in zip(entries, palette)]
    if any('=' in entry for entry in entries):
        classes = _by_value(entries, values, void, palette)
    elif entries:
        classes = _in_order(entries, values, void, palette)
    else:
        classes = _unnamed(source, target, void)
    if len(classes.names) < 2:
        raise DataError(f'the masks hold one class ({", ".join(classes.names)}) in the values {named(values, 20)}: '
                        f'nothing can be learned; what is not it is a class, too, {HOW}')
    return classes


def _entries(given: Sequence[str]) -> tuple[list[str], list[list[int]] | None]:
    """What ``--classes`` says, one or several names or a file."""
    if len(given) == 1 and (given[0].endswith(FILES) or os.path.isfile(given[0])):
        return read_classes(given[0])
    return list(given), None


def _number(value: str) -> int | None:
    """The id that a value is; colours of three equal channels are ids stacked as RGB."""
    if not value.startswith('#'):
        return int(value)
    return int(value[1:3], 16) if value[1:3] == value[3:5] == value[5:7] else None


def _as_in_masks(text: str, values: Sequence[str]) -> str:
    """A value as it stands in the masks: the user may call a stacked id by its number."""
    text = text.lower()
    if not VALUE.fullmatch(text):
        raise DataError(f'{text!r} is neither an id (0 to 65535) nor a colour (#804000)')
    if text.startswith('#'):
        return text
    text = str(int(text))
    stacked = f'#{int(text):02x}{int(text):02x}{int(text):02x}'
    return stacked if stacked in values and text not in values else text


def _made(names: Sequence[str], of: Mapping[str, int], palette: list[list[int]] | None, others: bool,
          why: list[str]) -> Classes:
    read_classes(list(names))  # refuses what is no list of names
    void = [value for value, c in of.items() if c == IGNORED]
    if void:
        why.append(f'left out of training and scores: {named(void, 20)}')
    plain = not others and all(value == str(c) for value, c in of.items())
    return Classes(list(names), of, plain, others, palette, why)


def _by_value(entries: Sequence[str], values: Sequence[str], void: Collection[str],
              palette: list[list[int]] | None) -> Classes:
    names: list[str] = []
    of: dict[str, int] = {}
    for entry in entries:
        key, equals, name = (part.strip() for part in entry.partition('='))
        if not equals or not name:
            raise DataError(f'--classes: {entry!r} has no value, others have one: {HOW}')
        if name not in names:
            names.append(name)
        of[_as_in_masks(key, values)] = names.index(name)
    unnamed = [value for value in values if value not in of]
    of |= dict.fromkeys((value for value in values if value in void), IGNORED)
    absent = [value for value in of if value not in values]
    why = ['what each value is has been given']
    if absent:
        why.append(f'the masks do not hold {named(absent, 20)}')
    of |= dict.fromkeys(unnamed, IGNORED)
    return _made(names, of, palette, bool(unnamed), why)


def _in_order(names: Sequence[str], values: Sequence[str], void: Collection[str],
              palette: list[list[int]] | None) -> Classes:
    """Names without values: ids are indices, or as many as there are names, or one more and the first is unlabelled."""
    numbers = {value: _number(value) for value in values if value not in void}
    colours = [value for value, number in numbers.items() if number is None]
    if colours:
        raise DataError(f'the masks are in colours, and names alone do not say which is which: {HOW}, or name a file '
                        f'with the colours (--classes classes.yaml: "road: [128, 64, 128]"); found are '
                        f'{named(values, 30)}')
    left = list(numbers)
    why = ['ids are places in the list of names']
    places = {value: number for value, number in numbers.items() if number is not None}  # all of them
    if max(places.values(), default=0) < len(names):
        of = places
    else:
        if len(left) == len(names) + 1 and numbers[left[0]] == 0:
            void = {*void, left.pop(0)}
            why = ['there is one id more than names, so 0 is unlabelled']
        if len(left) != len(names):
            raise DataError(f'{len(names)} names for {len(left)} values in the masks ({named(left, 30)}): name each, '
                            f'or {HOW}')
        of = {value: i for i, value in enumerate(left)}
        why.append('ids get the names in ascending order')
    return _made(names, {**of, **dict.fromkeys(sorted(void), IGNORED)}, palette, False, why)


def _unnamed(source: Sequence[str], target: Sequence[str], void: Collection[str]) -> Classes:
    known = [value for value in source if value not in void]
    of = {value: i for i, value in enumerate(known)}
    why = [f'a class for each value of the source masks; names: {HOW}']
    new = [value for value in target if value not in of and value not in void]
    if new:
        why.append(f'only the target holds {named(new, 20)}, which no source image can teach')
    of |= dict.fromkeys([*sorted(void), *new], IGNORED)
    return _made([f'class_{value.lstrip("#") if _number(value) is None else _number(value)}' for value in known], of,
                 None, False, why)
