"""From a collated batch to what the networks take, on the device and without waiting for it."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg.utils.labels import IGNORED, TARGET_LABEL
from mmseg.utils.transfer import to_device

IMAGES = {'img': 'img_metas', 'target_img': 'target_img_metas'}
DTYPES = {'gt_semantic_seg': torch.int64, 'valid_pseudo_mask': torch.float32, TARGET_LABEL: torch.int64}


@lru_cache(maxsize=32)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation and its reciprocal as [1, 3, 1, 1]; uploaded once per device."""
    values = np.array([mean, std, np.reciprocal(std)], np.float32)
    return to_device(values, device)[:, None, :, None, None].unbind(0)


def image_constants(cfg: dict[str, Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of an ``img_norm_cfg`` as [1, 3, 1, 1] in grey levels; cached per device."""
    return _constants(tuple(map(float, cfg['mean'])), tuple(map(float, cfg['std'])), device)[:2]


def normalize(img: Tensor, metas: list[dict[str, Any]]) -> Tensor:
    """Normalise uint8 RGB images [B, 3, H, W] and set their padded area to 0 afterwards.

    Args:
        img: uint8, in the order of ``mean`` and ``std``.
        metas: per image, ``img_norm_cfg`` (mean, std in grey levels) and ``img_shape``, the size without padding.

    Returns:
        fp32, ``(x - mean) * (1 / std)``.
    """
    cfg = metas[0]['img_norm_cfg']
    mean, _, scale = _constants(tuple(map(float, cfg['mean'])), tuple(map(float, cfg['std'])), img.device)
    out = (img.float() - mean).mul_(scale)
    for sample, meta in zip(out, metas):
        height, width = meta['img_shape'][:2]
        if height < out.shape[2]:
            sample[:, height:] = 0.
        if width < out.shape[3]:
            sample[:, :, width:] = 0.
    return out


def check_labels(batch: dict[str, Any], num_classes: int) -> None:
    """Refuse label ids that are no class of the network, which would reach the loss otherwise.

    Raises:
        ValueError: naming the ids and the files of the batch.
    """
    wrong = [int(c) for c in batch.get('classes', ()) if c >= num_classes and c != IGNORED]
    if wrong:
        files = ', '.join(str(meta.get('filename')) for meta in batch['img_metas'])
        raise ValueError(f'the labels of {files} hold {wrong}, the network knows the classes 0 to {num_classes - 1} '
                         f'({IGNORED}: unlabelled): set model.decode_head.num_classes, or the classes of the data set')


def prepare(batch: dict[str, Any], device: torch.device | str) -> dict[str, Any]:
    """Move a training batch to the device and give it its training types. Preparing twice changes nothing.

    Args:
        batch: see mmseg/datasets/collate.py.
        device: of the networks.

    Returns:
        The batch with ``img`` and ``target_img`` as normalised fp32 [B, 3, H, W] (uint8 is normalised, float is taken
        as normalised), ``gt_semantic_seg`` and ``target_gt_for_meters`` as int64 [B, H, W] and ``valid_pseudo_mask``
        as fp32 [B, H, W].
    """
    ready = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
    for name, metas in IMAGES.items():
        if name in ready and ready[name].dtype == torch.uint8:
            ready[name] = normalize(ready[name], ready[metas])
    for name, dtype in DTYPES.items():
        if name in ready:
            value = ready[name]
            ready[name] = (value.squeeze(1) if value.dim() == 4 else value).to(dtype)
    return ready
