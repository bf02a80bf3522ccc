"""Neck that enlarges and concatenates encoder levels."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.registry import NECKS
from mmseg.utils.kinds import INTEGER, POSITIVE, list_of


@NECKS.register_module()
class SegFormerAdapter(nn.Module):
    """Replaces the last level by the concatenation of enlarged levels, so that CNN decoders fit on a MiT.

    Args:
        out_layers: the levels to concatenate.
        scales: the factor by which each of them is enlarged.
    """
    OPTIONS = dict(out_layers=list_of(INTEGER), scales=list_of(POSITIVE))

    def __init__(self, out_layers: tuple[int, ...] = (3, ), scales: tuple[float, ...] = (4, )) -> None:
        super().__init__()
        self.out_layers, self.scales = tuple(out_layers), tuple(scales)

    def out_channels(self, channels: list[int]) -> list[int]:
        """Channels of the levels that :meth:`forward` returns, for maps with ``channels``."""
        return [*channels[:-1], sum(channels[i] for i in self.out_layers)]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map [B, C_i, h_i, w_i] levels to the same with another last one."""
        parts = [
            maps[i] if scale == 1 else F.interpolate(maps[i], scale_factor=scale, mode='bilinear', align_corners=False)
            for i, scale in zip(self.out_layers, self.scales)
        ]
        return [*maps[:-1], torch.cat(parts, dim=1)]
