"""The ignored label ids that different sections of a config name."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmseg.datasets.sections import Place, walk
from mmseg.errors import ConfigError
from mmseg.utils.labels import IGNORED


def check_ignored(content: dict[str, Any]) -> None:
    """Refuse a head that ignores an id which is not that of unlabelled pixels in the label files.

    Data sets make 255 of the id that they name, so a head needs to name none. One that does means the files' id, and
    every labelled data set has to agree.

    Raises:
        ConfigError: naming both dotted keys and values.
    """
    for key, head in _heads(content.get('model')):
        wanted = head.get('ignore_index', IGNORED)
        for place in _labelled(content.get('data')):
            found = place.section.get('ignore_index', IGNORED)
            if wanted not in (None, IGNORED, found):
                raise ConfigError(
                    f'{key}.ignore_index={wanted} is not the id of unlabelled pixels in the label files that '
                    f'{place.key}.ignore_index={found} names: set both to what the files hold, or leave it out of the '
                    f'head, since all unlabelled pixels are {IGNORED} once they are read', 'ignore_index',
                    f'{key}.ignore_index')


def _heads(model: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted key and section of all heads."""
    for name in ('decode_head', 'auxiliary_head'):
        part = (model or {}).get(name)
        if isinstance(part, dict):
            yield f'model.{name}', part
        else:
            yield from ((f'model.{name}.{position}', head) for position, head in enumerate(part or ()))


def _labelled(data: Any) -> Iterator[Place]:
    """All data sets whose labels are read."""
    for split in ('train', 'val', 'test'):
        for place in walk((data or {}).get(split), f'data.{split}'):
            if place.labelled and place.section.get('ann_dir') is not None:
                yield place
