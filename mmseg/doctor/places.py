"""Which data sets a config names."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.datasets.sections import Place, walk

__all__ = ['Place', 'places']


def places(data: Mapping[str, Any]) -> Iterator[Place]:
    """All data sets on disk of a ``data`` section; ``test`` only where it differs from ``val``."""
    for split in ('train', 'val', 'test'):
        section = data.get(split)
        if section and not (split == 'test' and section == data.get('val')):
            yield from (place for place in walk(section, f'data.{split}') if not place.inner)
