"""Interlaced sparse self-attention (Huang et al., 2019) as a layer."""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers.conv_module import ConvModule
from mmseg.models.layers.self_attention import SelfAttentionBlock


class Relation(SelfAttentionBlock):
    """Self-attention with an output convolution.

    Args:
        channels: channels of input, values and output.
        isa_channels: channels of keys and queries.
        kwargs: of :class:`SelfAttentionBlock`; ``norm_cfg`` and ``act_cfg`` are those of the output convolution, too.
    """

    def __init__(self, channels: int, isa_channels: int, **kwargs: Any) -> None:
        super().__init__(channels, isa_channels, channels, **kwargs)
        self.output_project = ConvModule(channels, channels, 1, norm_cfg=kwargs['norm_cfg'], act_cfg=kwargs['act_cfg'])

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, h, w] to the same shape."""
        return self.output_project(super().forward(x))


def interlaced_attention(x: Tensor, block: tuple[int, int], global_relation: nn.Module,
                         local_relation: nn.Module) -> Tensor:
    """Relate the cells of equal position in all blocks, then the cells of each block.

    Args:
        x: [B, C, h, w]; zeros are added around it up to whole blocks.
        block: (height, width) of a block in cells.
        global_relation, local_relation: attention from [N, C, ...] to the same shape.
    """
    b, c, h, w = x.shape
    bh, bw = block
    gh, gw = -(-h // bh), -(-w // bw)
    pad_h, pad_w = gh * bh - h, gw * bw - w
    top, left = pad_h // 2, pad_w // 2
    x = F.pad(x, (left, pad_w - left, top, pad_h - top))
    x = x.view(b, c, gh, bh, gw, bw).permute(0, 3, 5, 1, 2, 4).reshape(-1, c, gh, gw)
    x = global_relation(x)
    x = x.reshape(b, bh, bw, c, gh, gw).permute(0, 4, 5, 3, 1, 2).reshape(-1, c, bh, bw)
    x = local_relation(x)
    x = x.reshape(b, gh, gw, c, bh, bw).permute(0, 3, 1, 4, 2, 5).reshape(b, c, gh * bh, gw * bw)
    return x[:, :, top:top + h, left:left + w]


class ISALayer(nn.Module):
    """Attention between the cells of equal position in all blocks, then between the cells of each block.

    Args:
        in_channels: channels of the input.
        channels: channels of the output if there is an output convolution; else ``isa_channels`` come out.
        isa_channels: channels of the attention.
        down_factor: (height, width) of a block in cells.
        key_query_num_convs: convolutions in front of keys and queries.
        in_conv_kernel_size: kernel of the first convolution; None: no such convolution.
        out_cat_and_conv: concatenate the result with its input and convolve 1x1 to ``channels``.
        norm_cfg, act_cfg: of all convolutions.
    """

    def __init__(self,
                 in_channels: int,
                 channels: int,
                 isa_channels: int,
                 norm_cfg: dict[str, Any] | None,
                 act_cfg: dict[str, Any] | None,
                 down_factor: tuple[int, int] = (8, 8),
                 key_query_num_convs: int = 2,
                 in_conv_kernel_size: int | None = 1,
                 out_cat_and_conv: bool = False) -> None:
        super().__init__()
        conv = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.down_factor = tuple(down_factor)
        self.in_conv = None
        if in_conv_kernel_size is not None:
            k = in_conv_kernel_size
            self.in_conv = ConvModule(in_channels, isa_channels, k, padding=k // 2, **conv)
        self.global_relation = Relation(isa_channels, isa_channels, key_query_num_convs=key_query_num_convs, **conv)
        self.local_relation = Relation(isa_channels, isa_channels, key_query_num_convs=key_query_num_convs, **conv)
        self.out_conv = ConvModule(2 * isa_channels, channels, 1, **conv) if out_cat_and_conv else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, channels or isa_channels, h, w]."""
        x = residual = x if self.in_conv is None else self.in_conv(x)
        x = interlaced_attention(x, self.down_factor, self.global_relation, self.local_relation)
        return x if self.out_conv is None else self.out_conv(torch.cat([x, residual], dim=1))
