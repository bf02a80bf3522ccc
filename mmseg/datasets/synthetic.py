"""Batches of random images, for measurements that need no data."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def synthetic_batch(batch: int, size: tuple[int, int], num_classes: int) -> dict[str, Any]:
    """Random uint8 images of both domains and a label map of 64-pixel blocks, as the collate function makes a batch.

    Args:
        batch: number of images per domain.
        size: (height, width).
        num_classes: of the labels.
    """
    rng = np.random.RandomState(0)
    height, width = size
    blocks = rng.randint(0, num_classes, (batch, 1, -(-height // 64), -(-width // 64))).astype(np.uint8)
    label = torch.from_numpy(blocks.repeat(64, 2).repeat(64, 3)[..., :height, :width].copy())
    meta = dict(img_norm_cfg=NORM, img_shape=(height, width, 3), pad_shape=(height, width, 3),
                ori_shape=(height, width, 3), flip=False)
    images = [torch.from_numpy(rng.randint(0, 256, (batch, 3, height, width), dtype=np.uint8)) for _ in range(2)]
    return dict(img=images[0], img_metas=[meta] * batch, gt_semantic_seg=label,
                classes=np.unique(blocks).astype(np.int64), target_img=images[1], target_img_metas=[meta] * batch)
