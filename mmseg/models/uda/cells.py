"""Where classes are: label maps at the resolution of feature maps."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.utils.labels import IGNORED


def class_counts(label: Tensor, size: Sequence[int], num_classes: int) -> Tensor:
    """How many pixels of each class a cell of a feature map covers.

    Args:
        label: int64 [B, H, W], 255 is ignored.
        size: (h, w) of the feature map; pixel (y, x) belongs to cell (y h // H, x w // W).
        num_classes: number of classes C; ids >= C count as ignored.

    Returns:
        float32 [B, h, w, C + 1], whole numbers; the last entry counts ignored pixels.
    """
    batch, height, width = label.shape
    rows, columns = (torch.arange(full, device=label.device) * cells // full
                     for full, cells in ((height, size[0]), (width, size[1])))
    cell = rows[:, None] * size[1] + columns
    num_cells = size[0] * size[1]
    bins = torch.arange(batch, device=label.device).view(-1, 1, 1) * num_cells + cell
    index = bins * (num_classes + 1) + label.clamp(max=num_classes)
    counts = torch.zeros(batch * num_cells * (num_classes + 1), device=label.device)
    # whole numbers below 2^24: exact in float32 whatever the order of the additions
    counts.scatter_add_(0, index.flatten(), torch.ones_like(counts[:1]).expand(index.numel()))
    return counts.view(batch, *size, num_classes + 1)


def label_cells(label: Tensor, size: Sequence[int], num_classes: int, min_ratio: float) -> Tensor:
    """Reduce a label map to the cells of a feature map: the majority class, where it is clear enough.

    Args:
        label, size, num_classes: see :func:`class_counts`.
        min_ratio: share of the cell that its majority class must reach, in [0, 1].

    Returns:
        int64 [B, h, w], 255 where no class reaches the ratio or the majority of the cell is ignored.
    """
    counts = class_counts(label, size, num_classes)
    most, winner = counts.max(dim=-1)
    clear = (winner < num_classes) & (most / counts.sum(dim=-1) >= min_ratio)
    return torch.where(clear, winner, IGNORED)
