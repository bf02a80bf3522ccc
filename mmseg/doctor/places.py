"""Which data sets a config names."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A data set on disk in a config.

    Attributes:
        key: dotted, e.g. 'data.train.source'.
        section: its content.
        labelled: whether its labels are needed.
        sampling: the rare class sampling from it, or None.
    """
    key: str
    section: Mapping[str, Any]
    labelled: bool
    sampling: Mapping[str, Any] | None = None

    @property
    def trains(self) -> bool:
        """Whether a training learns from it."""
        return self.key.startswith('data.train')


def places(data: Mapping[str, Any]) -> Iterator[Place]:
    """All data sets on disk of a ``data`` section; ``test`` only where it differs from ``val``."""
    for split in ('train', 'val', 'test'):
        section = data.get(split)
        if section and not (split == 'test' and section == data.get('val')):
            yield from _unwrapped(Place(f'data.{split}', section, True))


def _unwrapped(place: Place) -> Iterator[Place]:
    section = place.section
    if isinstance(section, (list, tuple)):
        for i, part in enumerate(section):
            yield from _unwrapped(place._replace(key=f'{place.key}.{i}', section=part))
    elif section.get('type') in ('UDADataset', 'ConcatDataset', 'RepeatDataset'):
        for name in ('source', 'target', 'dataset', 'datasets'):
            if section.get(name):
                yield from _unwrapped(Place(f'{place.key}.{name}', section[name], place.labelled and name != 'target',
                                            section.get('rare_class_sampling') if name == 'source' else None))
    else:
        yield place
