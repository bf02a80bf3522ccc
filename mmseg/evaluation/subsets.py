"""Which classes a mean IoU runs over when the source data set does not know all of them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Synthia has no terrain, truck and train; older papers also leave wall, fence and pole out.
_NOT_IN_16 = ('terrain', 'truck', 'train')
_NOT_IN_13 = (*_NOT_IN_16, 'wall', 'fence', 'pole')


def _dataset_types(cfg: Any) -> Iterator[str]:
    if isinstance(cfg, (list, tuple)):
        for part in cfg:
            yield from _dataset_types(part)
    elif isinstance(cfg, Mapping):
        yield str(cfg.get('type'))
        for wrapped in ('source', 'dataset', 'datasets'):
            yield from _dataset_types(cfg.get(wrapped))


def class_subsets(cfg: Mapping[str, Any], classes: Sequence[str]) -> dict[str, list[str]]:
    """The mean IoUs that a config's results are published with, beside the one over all classes.

    Args:
        cfg: a whole config; its ``data.train`` (plain, wrapped or UDA) names the source data set.
        classes: the class names of the evaluated data set.

    Returns:
        {'mIoU16': 16 names, 'mIoU13': 13 names} for a SynthiaDataset source with the 19 Cityscapes classes, else {}.
    """
    train = (cfg.get('data') or {}).get('train')
    if 'SynthiaDataset' not in _dataset_types(train) or not set(_NOT_IN_13) <= set(classes):
        return {}
    return {
        'mIoU16': [name for name in classes if name not in _NOT_IN_16],
        'mIoU13': [name for name in classes if name not in _NOT_IN_13]
    }
