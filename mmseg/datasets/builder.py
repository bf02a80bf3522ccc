"""Build datasets from their config sections."""
from __future__ import annotations

from typing import Any

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.construction import build
from mmseg.datasets.dataset_wrappers import ConcatDataset
from mmseg.datasets.sections import inner_sections
from mmseg.errors import DataError
from mmseg.registry import DATASETS, PIPELINES
from mmseg.utils.names import nearest

__all__ = ['DATASETS', 'PIPELINES', 'build_dataset']

_LISTABLE_KEYS = ('img_dir', 'ann_dir', 'split')


def build_dataset(cfg: dict[str, Any] | list[dict[str, Any]], default_args: dict[str, Any] | None = None
                  ) -> SampledDataset:
    """Build the dataset of a ``data.train``, ``data.val`` or ``data.test`` section.

    Args:
        cfg: the section. A list of sections, or lists for ``img_dir``, ``ann_dir`` or ``split``, are concatenated.
        default_args: arguments that the section may leave out, e.g. ``dict(test_mode=True)``.

    Raises:
        DataError: for unknown types and arguments, missing folders and empty data sets.
    """
    if isinstance(cfg, (list, tuple)):
        return ConcatDataset([build_dataset(part, default_args) for part in cfg])
    inner = inner_sections(cfg)
    if inner:
        built = {key: _build_inner(cfg, key, part.several, default_args) for key, part in inner.items()}
        return build(DATASETS, {**cfg, **built}, 'dataset')
    parts = _split_lists(cfg)
    if parts is not None:
        return ConcatDataset([build_dataset(part, default_args) for part in parts])
    return build(DATASETS, {**(default_args or {}), **cfg}, 'dataset')


def _build_inner(cfg: dict[str, Any], key: str, several: bool, default_args: dict[str, Any] | None
                 ) -> SampledDataset | list[SampledDataset]:
    """The data set, or the list of several, that a wrapper's section has at ``key``."""
    section = cfg.get(key)
    if not section or several and not isinstance(section, (list, tuple)):
        example = '[dict(type=..., ...), ...]' if several else 'dict(type=..., ...)'
        raise DataError(f'{cfg["type"]} needs {key}={example}')
    return [build_dataset(part, default_args) for part in section] if several else build_dataset(section, default_args)


def _split_lists(cfg: dict[str, Any]) -> list[dict[str, Any]] | None:
    """One section per entry where folders or splits are lists; None if none is."""
    lists = {key: cfg[key] for key in _LISTABLE_KEYS if isinstance(cfg.get(key), (list, tuple))}
    lengths = {len(value) for value in lists.values()}
    if not lists:
        return None
    if len(lengths) > 1:
        raise DataError(f'{", ".join(lists)} of {cfg.get("type")} are lists of different length')
    return [{**cfg, **{key: value[i] for key, value in lists.items()}} for i in range(lengths.pop())]


def get_palette(name: str) -> list[list[int]]:
    """RGB colours of a registered data set, e.g. 'cityscapes' for ``CityscapesDataset``.

    Raises:
        ValueError: if no data set of that name has a palette.
    """
    known = {
        key.removesuffix('Dataset').lower(): dataset.PALETTE
        for key, dataset in DATASETS.module_dict.items() if getattr(dataset, 'PALETTE', None)
    }
    if name.lower() not in known:
        raise ValueError(f'unknown palette {name!r}: {nearest(name.lower(), known)}')
    return [list(colour) for colour in known[name.lower()]]
