"""Statistics of the batch norms from images of the target.

AdaBN (Li et al., 2016, "Revisiting Batch Normalization For Practical Domain Adaptation", section 3).
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = 4  # images of equal size whose statistics are taken together: a pooled map of one image has no variance


def renew_norm_statistics(network: nn.Module, loader: Iterable[dict[str, Any]], device: torch.device | str) -> int:
    """Replace the running statistics of all batch norms by the mean of those of the images. No weight changes.

    Args:
        network: a segmentor, with ``logits`` of images [B, 3, H, W].
        loader: yields dicts with ``img``, see :func:`~mmseg.evaluation.predictions`.
        device: where the network is.

    Returns:
        The number of images.

    Raises:
        ValueError: if the network has no batch norm, or there is no image.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        raise ValueError('the network has no batch norm: there are no statistics to take from the target')
    network.eval()
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    count = 0
    try:
        with torch.no_grad():
            for imgs in _batches(loader):
                network.logits(imgs.to(device))
                count += len(imgs)
    finally:
        network.eval()
        for norm, momentum in zip(norms, kept):
            norm.momentum = momentum
    if not count:
        raise ValueError('there is no image to take the statistics from')
    return count


def _batches(loader: Iterable[dict[str, Any]]) -> Iterator[Tensor]:
    together: list[Tensor] = []
    for batch in loader:
        img = batch['img'][0]  # one of several test-time versions
        if together and (len(together) == BATCH or img.shape != together[0].shape):
            yield torch.cat(together)
            together = []
        together.append(img)
    if together:
        yield torch.cat(together)
