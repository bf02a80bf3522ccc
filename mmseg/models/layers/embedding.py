"""The linear embedding of SegFormer (Xie et al., 2021, section 3.2)."""
from __future__ import annotations

from torch import Tensor, nn

from mmseg.models.layers.tokens import to_map, to_tokens


class MLP(nn.Module):
    """One linear layer over the channels of a map."""

    def __init__(self, in_channels: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, embed_dim, h, w]."""
        return to_map(self.proj(to_tokens(x)), x.shape[-2:])
