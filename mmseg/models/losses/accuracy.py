"""Pixel accuracy for the training log."""
from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def accuracy(logits: Tensor, label: Tensor, topk: int | tuple[int, ...] = 1) -> Tensor | list[Tensor]:
    """Share of pixels whose label is among the ``topk`` highest logits.

    As published, all pixels are counted: ignored ones are wrong.

    Args:
        logits: [B, C, ...].
        label: [B, ...] int64.
        topk: one or several numbers of guesses.

    Returns:
        Percent, as a scalar tensor, or a list of them if ``topk`` is a tuple.
    """
    if isinstance(topk, int):
        return accuracy(logits, label, (topk, ))[0]
    if topk == (1, ):
        return [(logits.max(1).indices == label).float().mean() * 100.]
    hits = logits.topk(max(topk), dim=1).indices == label.unsqueeze(1)
    return [hits[:, :k].any(1).float().mean() * 100. for k in topk]
