"""ClassMix: paste half of the source classes onto the target image (Olsson et al. 2021; DACS)."""
from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mmseg.utils.transfer import to_device

Count = TypeVar('Count', int, Tensor)


def num_chosen(num_present: Count) -> Count:
    """How many of the present classes are pasted: half of them, rounded up."""
    return (num_present + 1) // 2


def choose_classes(classes: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Choose half (rounded up) of the present classes without replacement.

    Args:
        classes: sorted label ids of the whole batch; the ignore label counts as a class, as published.
        rng: generator of this draw; one call per image.
    """
    return classes[rng.choice(len(classes), num_chosen(len(classes)), replace=False)]


def draw_class_table(label: Tensor, classes: np.ndarray | None, rng: np.random.RandomState) -> Tensor:
    """Which label ids are pasted in which image, as a bool table [B, 256] on the label's device.

    Args:
        label: int64 [B, H, W] with values 0..255.
        classes: sorted label ids of the batch, known from the collate function. Without them the present ids are
            found on the device by ranking random keys, so that the host never waits.
        rng: generator of this draw.
    """
    batch = label.shape[0]
    if classes is not None:
        table = np.zeros((batch, 256), dtype=bool)
        for row in table:
            row[choose_classes(classes, rng)] = True
        return to_device(table, label.device)
    present = torch.zeros(256, dtype=torch.bool, device=label.device)
    present.scatter_(0, label.flatten(), True)
    keys = to_device(rng.random_sample((batch, 256)), label.device).masked_fill(~present, 2.0)
    rank = keys.argsort(dim=1).argsort(dim=1)
    return rank < num_chosen(present.sum())


def class_mask(label: Tensor, table: Tensor) -> Tensor:
    """Bool mask [B, 1, H, W] of the pixels that are pasted from the source.

    Args:
        label: int64 [B, H, W].
        table: bool [B, 256] from :func:`draw_class_table`.
    """
    offsets = torch.arange(len(label), device=label.device).view(-1, 1, 1) * 256
    return table.flatten()[label + offsets].unsqueeze(1)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """``source`` where the mask is set, else ``target``.

    Args:
        mask: bool [B, 1, H, W].
        source, target: [B, C, H, W] or [B, H, W].
    """
    return torch.where(mask if source.dim() == 4 else mask.squeeze(1), source, target)
