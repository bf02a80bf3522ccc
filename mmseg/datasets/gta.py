"""GTA (Playing for Data), converted to the classes of Cityscapes."""
from __future__ import annotations

from typing import Any

from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.label_format import Meaning, published_ids
from mmseg.errors import DataError
from mmseg.registry import DATASETS

GTA_TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
                 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


@DATASETS.register_module()
class GTADataset(CustomDataset):
    """All images of the folder are for training: ``split`` may be None or 'train' and has no effect."""
    CLASSES, PALETTE = CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.png', '_labelTrainIds.png'
    ORIGINAL_LABELS: tuple[str, Meaning] | None = '.png', published_ids(GTA_TRAIN_IDS, 35)

    def __init__(self, split: str | None = None, **kwargs: Any) -> None:
        if split not in (None, 'train'):
            raise DataError(f"{type(self).__name__} knows no split but 'train', got {split!r}")
        super().__init__(**kwargs)
