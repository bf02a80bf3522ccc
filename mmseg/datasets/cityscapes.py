"""Cityscapes: 19 classes, which GTA, Synthia, ACDC, Dark Zurich and others share."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmseg.datasets.cityscapes_labels import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, LABELS, NO_CLASS
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.label_format import published_ids
from mmseg.registry import DATASETS
from mmseg.utils.kinds import NONE, WHOLE, list_of


def margin_mask(size: tuple[int, int], margins: Sequence[int]) -> np.ndarray:
    """uint8 mask of ``size`` (height, width): 0 within the margins (top, bottom, left, right), else 1."""
    top, bottom, left, right = margins
    mask = np.zeros(size, np.uint8)
    mask[top:size[0] - bottom, left:size[1] - right] = 1
    return mask


@DATASETS.register_module()
class CityscapesDataset(CustomDataset):
    """Cityscapes (fine annotations).

    Args:
        crop_pseudo_margins: of a target: (top, bottom, left, right) in pixels of the full image where pseudo labels are
            not trusted. Not together with ``pseudo_weight_ignore_*`` of the ``uda`` section. Samples get
            ``valid_pseudo_mask``, uint8 [1, H, W], 1 where they are; it is resized, cropped and flipped with the image.
        kwargs: see :class:`~mmseg.datasets.custom.CustomDataset`.
    """
    OPTIONS = dict(crop_pseudo_margins=list_of(WHOLE, 4) | NONE)
    CLASSES, PALETTE = CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
    IMG_SUFFIX, SEG_MAP_SUFFIX = '_leftImg8bit.png', '_gtFine_labelTrainIds.png'
    ORIGINAL_LABELS = '_gtFine_labelIds.png', published_ids({
        label.id: label.train_id for label in LABELS.values() if label.train_id != NO_CLASS}, 34)
    VALID_MASK_SIZE = (1024, 2048)

    def __init__(self, pipeline: Sequence[dict[str, Any]], crop_pseudo_margins: Sequence[int] | None = None,
                 **kwargs: Any) -> None:
        self._valid_pseudo_mask = None
        if crop_pseudo_margins is not None:
            self._valid_pseudo_mask = margin_mask(self.VALID_MASK_SIZE, crop_pseudo_margins)
            pipeline = copy.deepcopy(list(pipeline))
            pipeline[-1]['keys'] = [*pipeline[-1]['keys'], 'valid_pseudo_mask']
        super().__init__(pipeline, **kwargs)

    def describe(self, idx: int) -> dict[str, Any]:
        """What the first transform of the pipeline gets for image ``idx``."""
        results = super().describe(idx)
        if self._valid_pseudo_mask is not None:
            results['valid_pseudo_mask'] = self._valid_pseudo_mask
            results['seg_fields'].append('valid_pseudo_mask')
        return results
