"""The fields of a sample that a pipeline collects, and those that its transforms make."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmseg.datasets.pipelines.formatting import META_KEYS
from mmseg.datasets.sections import Place, walk
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS, PIPELINES
from mmseg.utils.names import nearest

COLLECTORS = ('Collect', 'ImageToTensor')


def check_fields(content: dict[str, Any]) -> None:
    """Refuse to collect a field that nothing before makes, and to train without images or labels.

    Transforms say in ``MAKES`` which fields they add. One of somebody else that does not say it, or a data set of
    somebody else, may add any: nothing is refused behind it.

    Raises:
        ConfigError: naming the dotted key.
    """
    for split in ('train', 'val', 'test'):
        for place in walk((content.get('data') or {}).get(split), f'data.{split}'):
            section = place.section if isinstance(place.section, dict) else {}
            if section.get('pipeline') and _is_ours(DATASETS.get(section['type'])):
                _check(section['pipeline'], f'{place.key}.pipeline', _given(place))
                if place.trains and content.get('model'):
                    _check_whole(section['pipeline'], f'{place.key}.pipeline', place.labelled)


def _given(place: Place) -> set[str]:
    """What a sample has before the first transform, and may be named without being made."""
    given = set(META_KEYS)
    if place.section.get('crop_pseudo_margins') is not None:
        given.add('valid_pseudo_mask')
    if not place.labelled:
        given.add('gt_semantic_seg')  # the labels of a target are never read, and left out of what is collected
    return given


def _check(steps: Iterable[dict[str, Any]], key: str, fields: set[str]) -> None:
    for position, step in enumerate(steps):
        cls = PIPELINES.get(step['type'])
        if not _is_ours(cls) and not hasattr(cls, 'MAKES'):
            return
        fields = {*fields, *getattr(cls, 'MAKES', ())}
        for name in step.get('keys', ()) if step['type'] in COLLECTORS else ():
            if name not in fields:
                raise ConfigError(f'{key}.{position}.keys: no transform before makes {name!r}, '
                                  f'{nearest(name, fields - set(META_KEYS))}', name, f'{key}.{position}.keys')
        _check(step.get('transforms', ()), f'{key}.{position}.transforms', fields)


def _check_whole(steps: Sequence[dict[str, Any]], key: str, labelled: bool) -> None:
    last, position = steps[-1], len(steps) - 1
    for name in ('img', *(['gt_semantic_seg'] if labelled else [])):
        if last['type'] == 'Collect' and name not in last['keys']:
            raise ConfigError(f'{key}.{position}.keys: has to hold {name!r}, without which nothing can be trained',
                              name, f'{key}.{position}.keys')


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith('mmseg.')
