"""DeepLabV3+'s decoder (Chen et al., 2018, section 3)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.aspp_head import ASPPHead
from mmseg.models.layers import ConvModule, DepthwiseSeparableConvModule, resize
from mmseg.registry import HEADS


@HEADS.register_module()
class DepthwiseSeparableASPPHead(ASPPHead):
    """ASPP with depthwise-separable convolutions, joined with the details of the first level.

    Args:
        c1_in_channels: channels of the first level; 0: do without it.
        c1_channels: to which they are reduced.
        kwargs: of :class:`ASPPHead`.
    """

    separable = True

    def __init__(self, c1_in_channels: int, c1_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.c1_bottleneck = None
        if c1_in_channels > 0:
            self.c1_bottleneck = ConvModule(c1_in_channels, c1_channels, 1, **self.conv_options)
        joined = self.channels + (c1_channels if c1_in_channels > 0 else 0)
        self.sep_bottleneck = nn.Sequential(*(
            DepthwiseSeparableConvModule(channels, self.channels, 3, padding=1, **self.conv_options)
            for channels in (joined, self.channels)))

    @property
    def levels(self) -> tuple[int, ...]:
        """With details, the first map, too."""
        return super().levels if self.c1_bottleneck is None else (0, *super().levels)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Context and details: [B, channels, h, w], at the first level's size unless it is left out."""
        x = super().forward_embedding(feats)
        if self.c1_bottleneck is not None:
            details = self.c1_bottleneck(feats[0])
            x = torch.cat([resize(x, details.shape[-2:], align_corners=self.align_corners), details], dim=1)
        return self.sep_bottleneck(x)
