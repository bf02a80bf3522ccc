"""Build datasets from their config sections."""
from __future__ import annotations

from typing import Any

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.construction import build
from mmseg.datasets.dataset_wrappers import ConcatDataset
from mmseg.datasets.errors import DataError
from mmseg.registry import DATASETS, PIPELINES

__all__ = ['DATASETS', 'PIPELINES', 'build_dataset']

_INNER_KEYS = {'UDADataset': ('source', 'target'), 'RepeatDataset': ('dataset',), 'ConcatDataset': ('datasets',)}
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
    cfg = dict(cfg)
    if cfg.get('type') in _INNER_KEYS:
        for key in _INNER_KEYS[cfg['type']]:
            if key not in cfg:
                raise DataError(f'{cfg["type"]} needs {key}=dict(type=..., ...)')
            inner = cfg[key]
            cfg[key] = [build_dataset(part, default_args) for part in inner] if key == 'datasets' \
                else build_dataset(inner, default_args)
        return build(DATASETS, cfg, 'dataset')
    parts = _split_lists(cfg)
    if parts is not None:
        return ConcatDataset([build_dataset(part, default_args) for part in parts])
    return build(DATASETS, {**(default_args or {}), **cfg}, 'dataset')


def _split_lists(cfg: dict[str, Any]) -> list[dict[str, Any]] | None:
    """One section per entry where folders or splits are lists; None if none is."""
    lists = {key: cfg[key] for key in _LISTABLE_KEYS if isinstance(cfg.get(key), (list, tuple))}
    lengths = {len(value) for value in lists.values()}
    if not lists:
        return None
    if len(lengths) > 1:
        raise DataError(f'{", ".join(lists)} of {cfg.get("type")} are lists of different length')
    return [{**cfg, **{key: value[i] for key, value in lists.items()}} for i in range(lengths.pop())]
