"""UPerNet's decoder (Xiao et al., 2018, section 3.1)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule, PyramidPooling, resize
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, FIXED, list_of


@HEADS.register_module()
class UPerHead(BaseDecodeHead):
    """Pyramid pooling on the last level, a top-down feature pyramid over the others, all fused at the first.

    Args:
        pool_scales: cells per side of each pooled map.
        kwargs: of :class:`BaseDecodeHead`.
    """
    OPTIONS = dict(input_transform=FIXED, pool_scales=list_of(COUNT))

    def __init__(self, pool_scales: tuple[int, ...] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        *levels, last = self.in_channels
        conv, channels = self.conv_options, self.channels
        self.psp_modules = PyramidPooling(pool_scales, last, channels, align_corners=self.align_corners, **conv)
        self.bottleneck = ConvModule(self.psp_modules.out_channels, channels, 3, padding=1, **conv)
        self.lateral_convs = nn.ModuleList(ConvModule(width, channels, 1, **conv) for width in levels)
        self.fpn_convs = nn.ModuleList(ConvModule(channels, channels, 3, padding=1, **conv) for _ in levels)
        self.fpn_bottleneck = ConvModule(len(self.in_channels) * channels, channels, 3, padding=1, **conv)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Fuse [B, C_i, h_i, w_i] maps to [B, channels, h_0, w_0]."""
        *maps, last = self.select(feats)
        coarse = self.bottleneck(self.psp_modules(last))
        outs = [coarse]
        for x, lateral, smooth in zip(maps[::-1], self.lateral_convs[::-1], self.fpn_convs[::-1]):
            x = lateral(x)
            coarse = x + self._resize(coarse, x)
            outs.append(smooth(coarse))
        return self.fpn_bottleneck(torch.cat([self._resize(x, outs[-1]) for x in outs[::-1]], dim=1))

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(x, like.shape[-2:], align_corners=self.align_corners)
