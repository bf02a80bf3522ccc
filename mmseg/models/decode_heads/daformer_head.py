"""DAFormer's context-aware feature fusion decoder (Hoyer et al., 2022, section 3.2)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ASPPWrapper, build_layer, resize
from mmseg.models.layers.factory import LAYER
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, FIXED, Section, list_of, one_of


@HEADS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Embed every level, resize to the first, concatenate, fuse.

    ``decoder_params`` holds ``embed_dims`` (a number, or one per level) and three layer configs (see
    :func:`mmseg.models.layers.build_layer`): ``embed_cfg`` for all levels but the last, ``embed_neck_cfg`` for the
    last (or 'same_as_embed_cfg'), ``fusion_cfg``.
    """
    OPTIONS = dict(
        input_transform=FIXED, align_corners=one_of([False]), decoder_params=Section(dict(
            embed_dims=COUNT | list_of(COUNT), embed_cfg=LAYER, embed_neck_cfg=LAYER | one_of(['same_as_embed_cfg']),
            fusion_cfg=LAYER)))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        if self.align_corners:
            raise ValueError('DAFormerHead resizes with align_corners=False only')
        params = self.decoder_params
        dims = params['embed_dims']
        dims = [dims] * len(self.in_index) if isinstance(dims, int) else list(dims)
        embed, neck = params['embed_cfg'], params['embed_neck_cfg']
        if neck == 'same_as_embed_cfg':
            neck = embed
        last = self.in_index[-1]
        self.embed_layers = nn.ModuleDict({
            str(i): self._layer(channels, dim, neck if i == last else embed)
            for i, channels, dim in zip(self.in_index, self.in_channels, dims)
        })
        self.fuse_layer = self._layer(sum(dims), self.channels, params['fusion_cfg'])
        self.fuses_with_aspp = 'aspp' in params['fusion_cfg']['type']

    def _layer(self, in_channels: int, out_channels: int, cfg: dict[str, Any]) -> nn.Module:
        extra = {'align_corners': self.align_corners} if 'aspp' in cfg['type'] else {}
        return build_layer(in_channels, out_channels, **{**cfg, **extra})

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Fuse [B, C_i, h_i, w_i] maps to [B, channels, h_0, w_0]."""
        maps = [layer(x) for layer, x in zip(self.embed_layers.values(), self.select(feats))]
        if self.fuses_with_aspp:
            # GPUs have slow kernels for dilated depthwise convolutions of channels-last maps, which embedded tokens are
            layout = torch.channels_last if maps[0].device.type == 'cpu' else torch.contiguous_format
            maps = [x.contiguous(memory_format=layout) for x in maps]
        size = maps[0].shape[-2:]
        x = torch.cat([resize(x, size) for x in maps], dim=1)
        return self.fuse_layer(x, parts=maps) if isinstance(self.fuse_layer, ASPPWrapper) else self.fuse_layer(x)
