"""SegFormer's all-MLP decoder (Xie et al., 2021, section 3.2)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import MLP, ConvModule, resize
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, FIXED, NONE, Section


@HEADS.register_module()
class SegFormerHead(BaseDecodeHead):
    """Linear embeddings of all levels, concatenated (high resolution first) and fused by one convolution.

    ``decoder_params``: ``embed_dim`` (default 768) and ``conv_kernel_size`` (default 1). The base's ``conv_seg`` is
    not used; it stays since published checkpoints hold it.
    """
    OPTIONS = dict(
        input_transform=FIXED, decoder_params=Section(dict(embed_dim=COUNT, conv_kernel_size=COUNT)) | NONE)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        dim = self.decoder_params.get('embed_dim', 768)
        kernel = self.decoder_params.get('conv_kernel_size', 1)
        self.linear_c = nn.ModuleDict({str(i): MLP(channels, dim) for i, channels in enumerate(self.in_channels)})
        self.linear_fuse = ConvModule(
            dim * len(self.in_channels), dim, kernel, padding=kernel // 2, norm_cfg=self.norm_cfg)
        self.linear_pred = nn.Conv2d(dim, self.num_classes, 1)

    @property
    def embedding_channels(self) -> int:
        """``embed_dim``."""
        return self.linear_pred.in_channels

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Fuse [B, C_i, h_i, w_i] maps to [B, embed_dim, h_0, w_0]."""
        maps = [layer(x) for layer, x in zip(self.linear_c.values(), self.select(feats))]
        size = maps[0].shape[-2:]
        return self.linear_fuse(torch.cat([resize(x, size, align_corners=self.align_corners) for x in maps], dim=1))

    def classifier(self, embedding: Tensor) -> Tensor:
        """Classify an embedding [B, embed_dim, h, w]: logits [B, num_classes, h, w]."""
        return self.linear_pred(embedding)
