"""DeepLabV3's decoder (Chen et al., 2017, section 3.3)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule, PoolingBranch, aspp_branches
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, list_of


@HEADS.register_module()
class ASPPHead(BaseDecodeHead):
    """Image pooling and parallel dilated convolutions, fused by a 3x3 convolution.

    Args:
        dilations: one convolution each; 1 gives a 1x1 convolution.
        kwargs: of :class:`BaseDecodeHead`.
    """
    OPTIONS = dict(dilations=list_of(COUNT))

    separable = False
    """Whether the dilated convolutions are depthwise-separable."""

    def __init__(self, dilations: tuple[int, ...] = (1, 6, 12, 18), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_pool = PoolingBranch(
            1, self.in_channels, self.channels, align_corners=self.align_corners, **self.conv_options)
        self.aspp_modules = aspp_branches(
            self.in_channels, self.channels, dilations, sep=self.separable, **self.conv_options)
        self.bottleneck = ConvModule(
            (len(dilations) + 1) * self.channels, self.channels, 3, padding=1, **self.conv_options)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Context of the selected map: [B, channels, h, w]."""
        x = self.select(feats)
        return self.bottleneck(torch.cat([self.image_pool(x), *(branch(x) for branch in self.aspp_modules)], dim=1))
