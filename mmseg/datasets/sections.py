"""Which data sets a section of a config names: the one place that looks into wrappers."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmseg.datasets.base import Inner
from mmseg.registry import DATASETS


class Place(NamedTuple):
    """A data set in a config.

    Attributes:
        key: dotted, e.g. 'data.train.source'.
        section: its content.
        labelled: whether its labels are needed.
        sampling: the rare class sampling from it, or None.
        own_classes: whether its classes may be others than those of the network, being matched by name.
    """
    key: str
    section: Any
    labelled: bool = True
    sampling: Mapping[str, Any] | None = None
    own_classes: bool = False

    @property
    def trains(self) -> bool:
        """Whether a training learns from it."""
        return self.key.startswith('data.train')

    @property
    def inner(self) -> Mapping[str, Inner]:
        """What it is made of, if it is a wrapper; else empty."""
        return inner_sections(self.section)


def inner_sections(section: Mapping[str, Any]) -> Mapping[str, Inner]:
    """The keys of a section that hold data sets of their own, as the class of its type declares them."""
    name = section.get('type')
    return getattr(DATASETS.module_dict.get(name) if isinstance(name, str) else name, 'INNER', {})


def walk(section: Any, key: str) -> Iterator[Place]:
    """All data sets of a section, wrappers before what they are made of.

    Each is handed over before it is looked into, so that a caller can refuse it first. A section whose folders or
    splits are lists is one place, as it has one key.

    Args:
        section: of a data set, or a list of such sections, or None.
        key: its dotted key.
    """
    yield from _below(Place(key, section))


def _below(place: Place) -> Iterator[Place]:
    if isinstance(place.section, (list, tuple)):
        for i, part in enumerate(place.section):
            yield from _below(place._replace(key=f'{place.key}.{i}', section=part))
    elif place.section is not None:
        yield place
        for name, inner in place.inner.items():
            yield from _below(Place(
                f'{place.key}.{name}', place.section.get(name), place.labelled and inner.labelled,
                place.section.get('rare_class_sampling') if inner.sampled else None, inner.own_classes))
