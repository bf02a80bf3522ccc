"""Stochastic depth (Huang et al., 2016)."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for whole samples while training.

    A sample is kept where ``floor(keep + U)`` is 1 (U uniform in [0, 1)) and is then divided by ``keep``.

    Args:
        drop_prob: probability of dropping a sample, in [0, 1).
    """

    def __init__(self, drop_prob: float = 0.) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ...] to [B, ...]."""
        if self.drop_prob == 0. or not self.training:
            return x
        keep = 1. - self.drop_prob
        shape = (x.shape[0], ) + (1, ) * (x.dim() - 1)
        factor = torch.rand(shape, dtype=torch.float32, device=x.device).add_(keep).floor_().div_(keep)
        return x * factor.to(x.dtype)

    def extra_repr(self) -> str:
        """The probability, for printing."""
        return f'drop_prob={self.drop_prob:.3f}'
