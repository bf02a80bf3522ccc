"""PSPNet's decoder (Zhao et al., 2017, section 3.2)."""
from __future__ import annotations

from typing import Any

from torch import Tensor

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule, PyramidPooling
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, list_of


@HEADS.register_module()
class PSPHead(BaseDecodeHead):
    """A pyramid of pooled maps beside the map itself, fused by a 3x3 convolution.

    Args:
        pool_scales: cells per side of each pooled map.
        kwargs: of :class:`BaseDecodeHead`.
    """
    OPTIONS = dict(pool_scales=list_of(COUNT))

    def __init__(self, pool_scales: tuple[int, ...] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.psp_modules = PyramidPooling(
            pool_scales, self.in_channels, self.channels, align_corners=self.align_corners, **self.conv_options)
        self.bottleneck = ConvModule(
            self.psp_modules.out_channels, self.channels, 3, padding=1, **self.conv_options)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """The selected map with its pyramid: [B, channels, h, w]."""
        return self.bottleneck(self.psp_modules(self.select(feats)))
