"""The teacher: an exponential moving average (EMA) of the student."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmseg.models.layers import DropPath


def ema_rate(iteration: int, alpha: float) -> float:
    """Share of the old teacher that is kept in ``iteration`` (0-based): min(1 - 1 / (iteration + 1), alpha).

    0 in the first iteration (the student is copied), then a running mean that turns into an EMA.
    """
    return min(1 - 1 / (iteration + 1), alpha)


class EMATeacher:
    """Keeps a network the moving average of a student (Mean Teacher; DAFormer section 3.1).

    Parameters are averaged, buffers are not: the teacher's running statistics follow its own forwards. It stays in
    train mode with dropout and drop path off, so its batch norms use batch statistics, as published.

    Args:
        network: the teacher's network; its parameters stop requiring gradients.
        alpha: EMA decay in [0, 1].
    """

    def __init__(self, network: nn.Module, alpha: float) -> None:
        self.network, self.alpha = network, alpha
        network.requires_grad_(False)
        network.train()
        for module in network.modules():
            if isinstance(module, (_DropoutNd, DropPath)):
                module.eval()

    @torch.no_grad()
    def update(self, student: nn.Module, iteration: int) -> None:
        """Move the teacher towards ``student``; in iteration 0 copy it."""
        mine: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = list(student.parameters())
        keep = ema_rate(iteration, self.alpha)
        if iteration == 0:
            torch._foreach_copy_(mine, theirs)
            return
        # not lerp: these two are bit-equal to the published update
        torch._foreach_mul_(mine, keep)
        torch._foreach_add_(mine, theirs, alpha=1 - keep)
