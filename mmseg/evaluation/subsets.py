"""Which classes a mean IoU runs over when the source data set does not know all of them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.datasets.sections import walk

# Synthia has no terrain, truck and train; older papers also leave wall, fence and pole out.
_NOT_IN_16 = ('terrain', 'truck', 'train')
_NOT_IN_13 = (*_NOT_IN_16, 'wall', 'fence', 'pole')


def class_subsets(cfg: Mapping[str, Any], classes: Sequence[str]) -> dict[str, list[str]]:
    """The mean IoUs that a config's results are published with, beside the one over all classes.

    Args:
        cfg: a whole config; its ``data.train`` (plain, wrapped or UDA) names the source data set.
        classes: the class names of the evaluated data set.

    Returns:
        {'mIoU16': 16 names, 'mIoU13': 13 names} for a SynthiaDataset source with the 19 Cityscapes classes, else {}.
    """
    train = (cfg.get('data') or {}).get('train')
    sources = [place.section.get('type') for place in walk(train, 'data.train') if place.labelled]
    if 'SynthiaDataset' not in sources or not set(_NOT_IN_13) <= set(classes):
        return {}
    return {
        'mIoU16': [name for name in classes if name not in _NOT_IN_16],
        'mIoU13': [name for name in classes if name not in _NOT_IN_13]
    }
