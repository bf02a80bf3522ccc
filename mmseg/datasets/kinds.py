"""Kinds of the sections that a data set is made of."""
from __future__ import annotations

from collections.abc import Mapping

from mmseg.registry import DATASETS, PIPELINES, STYLES
from mmseg.utils.kinds import AMOUNT, NONE, SIZE, Each, Kind, Needed, Section, Typed, number
from mmseg.utils.options import options, registered


def _keys(cls: type) -> Mapping[str, Kind]:
    """What a data set takes; a wrapper takes sections of other data sets."""
    inner = {name: Needed(Each(DATASET, empty=False) if part.several else DATASET)
             for name, part in getattr(cls, 'INNER', {}).items()}
    return {**options(cls), **inner}


_ONE = Typed(lambda: registered(DATASETS), _keys)
DATASET = _ONE | Each(_ONE, empty=False)
STEPS = Each(Typed(lambda: registered(PIPELINES), options))
# an infinite temperature draws all classes alike
RARE_CLASS_SAMPLING = Section(dict(min_pixels=AMOUNT, class_temp=number(above=0, infinite=True),
                                   min_crop_ratio=AMOUNT)) | NONE
STYLE = Typed(lambda: registered(STYLES), options)
PAIRS = dict(rare_class_sampling=RARE_CLASS_SAMPLING, sync_crop_size=SIZE | NONE, source_style=STYLE | NONE)
