"""Bilinear resizing as the originals do it."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Resize maps [B, C, h, w] bilinearly to ``size`` = (H, W); maps that already have this size pass unchanged."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    out = F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)
    if out.requires_grad and out.device.type == 'cpu' and not torch.compiler.is_compiling():
        out.register_hook(_dense)
    return out


def _dense(grad: Tensor) -> Tensor:
    """A gradient that is some channels of a channels-last map, copied: torch's kernel is many times slower on it."""
    return grad.contiguous(memory_format=torch.channels_last) if grad.stride(1) == 1 else grad
