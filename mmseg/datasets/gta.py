"""GTA (Playing for Data), converted to the classes of Cityscapes."""
from __future__ import annotations

from typing import Any

from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.errors import DataError
from mmseg.registry import DATASETS


@DATASETS.register_module()
class GTADataset(CustomDataset):
    """All images of the folder are for training: ``split`` may be None or 'train' and has no effect."""
    CLASSES, PALETTE = CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.png', '_labelTrainIds.png'

    def __init__(self, split: str | None = None, **kwargs: Any) -> None:
        if split not in (None, 'train'):
            raise DataError(f"{type(self).__name__} knows no split but 'train', got {split!r}")
        super().__init__(**kwargs)
