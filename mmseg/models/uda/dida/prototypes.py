"""Class prototypes, what the memory bank stores: the mean embedding of a class in the source images.

Shapes: B images of H x W pixels, h x w cells of the embedding, D channels, C classes.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.distributed import processes
from mmseg.utils.labels import IGNORED


def boundary_pixels(label: Tensor) -> Tensor:
    """Labelled pixels with another label (the ignored one counts) in their 3 x 3 neighbourhood: bool [B, H, W]."""
    values = label.float().unsqueeze(1)
    highest, lowest = F.max_pool2d(values, 3, 1, 1), -F.max_pool2d(-values, 3, 1, 1)
    return (highest != lowest).squeeze(1) & (label != IGNORED)


def class_means(embedding: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean embedding of each class over the batches of all processes, by one matrix product.

    Args:
        embedding: [B, D, h, w].
        counts: [B, h, w, C], how many pixels of each class a cell stands for.

    Returns:
        [C, D] (0 for absent classes) and the number of pixels [C].
    """
    return means_of_sums(*class_sums(embedding, counts))


def class_sums(embedding: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """What the embedding of each class adds up to in this process, [C, D], and its number of pixels [C].

    Args:
        embedding, counts: see :func:`class_means`.
    """
    return torch.einsum('bhwc,bdhw->cd', counts, embedding), counts.sum(dim=(0, 1, 2))


def means_of_sums(sums: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Class means [C, D] over all processes, with the same bits in each, and the number of pixels [C].

    Args:
        sums: what the features of each class add up to in this process, [C, D].
        pixels: how many pixels a sum runs over, [C].
    """
    if processes.count() > 1:
        joined = processes.add_up(torch.cat((sums, pixels[:, None]), dim=1))
        sums, pixels = joined[:, :-1], joined[:, -1]
    return sums / pixels.clamp_min(1)[:, None], pixels
