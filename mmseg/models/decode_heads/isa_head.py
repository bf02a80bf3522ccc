"""ISANet's decoder (Huang et al., 2019, section 3.2)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule, Relation, interlaced_attention
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, SIZE


@HEADS.register_module()
class ISAHead(BaseDecodeHead):
    """Interlaced sparse self-attention between two convolutions.

    Args:
        isa_channels: channels of keys and queries.
        down_factor: (height, width) of a block in cells.
        kwargs: of :class:`BaseDecodeHead`.
    """
    OPTIONS = dict(isa_channels=COUNT, down_factor=SIZE)

    def __init__(self, isa_channels: int, down_factor: tuple[int, int] = (8, 8), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.down_factor = tuple(down_factor)
        self.in_conv = ConvModule(self.in_channels, self.channels, 3, padding=1, **self.conv_options)
        self.global_relation = self._relation(isa_channels)
        self.local_relation = self._relation(isa_channels)
        self.out_conv = ConvModule(2 * self.channels, self.channels, 1, **self.conv_options)

    def _relation(self, isa_channels: int) -> Relation:
        return Relation(
            self.channels, isa_channels, key_query_num_convs=2, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """The selected map with its relations: [B, channels, h, w]."""
        x = self.in_conv(self.select(feats))
        related = interlaced_attention(x, self.down_factor, self.global_relation, self.local_relation)
        return self.out_conv(torch.cat([related, x], dim=1))
