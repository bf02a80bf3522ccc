"""Samples to a batch."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mmseg.datasets.label_format import count_ids
from mmseg.errors import DataError
from mmseg.utils.labels import TARGET_LABEL


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack the tensors of B samples; dicts of metas become lists.

    Returns:
        ``img`` [B, 3, H, W] (uint8, not yet normalised, or float32), ``img_metas`` list of B dicts,
        ``gt_semantic_seg`` [B, 1, H, W] uint8, ``classes`` (the label ids of the batch in ascending order, int64, 255
        included), of UDA samples also ``target_img``, ``target_img_metas`` and perhaps ``valid_pseudo_mask`` and
        ``target_gt_for_meters`` (both [B, 1, H, W] uint8).

    Raises:
        DataError: if the images have different shapes.
    """
    batch: dict[str, Any] = {
        key: _stack(key, samples) if torch.is_tensor(value) else [sample[key] for sample in samples]
        for key, value in samples[0].items()}
    if 'gt_semantic_seg' in batch:
        batch['classes'] = np.flatnonzero(count_ids(batch['gt_semantic_seg'].numpy()))
    return batch


def _stack(key: str, samples: Sequence[dict[str, Any]]) -> torch.Tensor:
    tensors = [sample[key] for sample in samples]
    if len({tensor.shape for tensor in tensors}) > 1:
        metas = 'target_img_metas' if key in ('target_img', 'valid_pseudo_mask', TARGET_LABEL) else 'img_metas'
        shapes = ', '.join(f'{s[metas].get("filename")} {tuple(s[key].shape)}' for s in samples)
        raise DataError(f'images of one batch differ in size ({key}: {shapes}): add RandomCrop and Pad with the same '
                        'size to the end of the train pipeline')
    return torch.stack(tensors)
