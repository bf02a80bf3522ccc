"""Between token sequences and maps, without copies for maps in channels-last layout."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def to_tokens(x: Tensor) -> Tensor:
    """View a map [B, C, h, w] as tokens [B, h*w, C]."""
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor, size: Sequence[int]) -> Tensor:
    """View tokens [B, h*w, C] as a map [B, C, h, w] (channels-last in memory).

    The order of the steps matters for a batch of one: its stride decides whether torch sees the layout.
    """
    return x.unflatten(1, tuple(size)).permute(0, 3, 1, 2)
