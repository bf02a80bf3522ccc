"""Atrous spatial pyramid pooling as a layer (Chen et al., 2017; DAFormer, section 3.2)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.layers.conv_module import ConvModule, DepthwiseSeparableConvModule
from mmseg.models.layers.pooling import PoolingBranch
from mmseg.models.layers.quick_conv import takes_short_cuts

QUICK = dict(type='QuickConv2d')


def aspp_branches(in_channels: int, channels: int, dilations: tuple[int, ...], *, sep: bool,
                  **conv: Any) -> nn.ModuleList:
    """Parallel convolutions, one per dilation.

    Args:
        in_channels, channels: of every branch.
        dilations: a dilation of 1 gives a 1x1 convolution, any other a 3x3.
        sep: make the 3x3 convolutions depthwise-separable.
        conv: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` ... of the convolutions.
    """
    conv = {**conv, 'conv_cfg': conv.get('conv_cfg') or QUICK}
    branches = nn.ModuleList()
    for dilation in dilations:
        if dilation == 1:
            branches.append(ConvModule(in_channels, channels, 1, **conv))
        elif sep:
            branches.append(
                DepthwiseSeparableConvModule(in_channels, channels, 3, padding=dilation, dilation=dilation, **conv))
        else:
            branches.append(ConvModule(in_channels, channels, 3, padding=dilation, dilation=dilation, **conv))
    return branches


class ASPPWrapper(nn.Module):
    """ASPP branches, optionally with image pooling and a context layer, fused by a 3x3 convolution.

    Args:
        in_channels, channels: input and output channels.
        sep: depthwise-separable dilated convolutions.
        dilations: one branch each, in this order.
        pool: add an image pooling branch in front.
        norm_cfg, act_cfg: of all convolutions.
        align_corners: for resizing the pooled map.
        context_cfg: a layer config (see :func:`build_layer`) for one more branch.
    """

    def __init__(self,
                 in_channels: int,
                 channels: int,
                 sep: bool,
                 dilations: tuple[int, ...],
                 pool: bool,
                 norm_cfg: dict[str, Any] | None,
                 act_cfg: dict[str, Any] | None,
                 align_corners: bool = False,
                 context_cfg: dict[str, Any] | None = None) -> None:
        super().__init__()
        conv = dict(conv_cfg=QUICK, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.image_pool = self.context_layer = None
        if pool:
            self.image_pool = PoolingBranch(1, in_channels, channels, align_corners=align_corners, **conv)
        if context_cfg is not None:
            from mmseg.models.layers.factory import build_layer  # the factory knows this class, too
            self.context_layer = build_layer(in_channels, channels, **context_cfg)
        self.dilations = tuple(dilations)
        self.aspp_modules = aspp_branches(in_channels, channels, self.dilations, sep=sep, **conv)
        branches = len(self.aspp_modules) + int(pool) + int(context_cfg is not None)
        self.bottleneck = ConvModule(branches * channels, channels, 3, padding=1, **conv)

    def forward(self, x: Tensor, parts: Sequence[Tensor] = ()) -> Tensor:
        """Map [B, in_channels, h, w] to [B, channels, h, w].

        Args:
            x: the map.
            parts: the maps of which, resized to the first, ``x`` is the concatenation; on the CPU the 1x1 convolution
                is faster with them.
        """
        outs = []
        if self.image_pool is not None:
            outs.append(self.image_pool(x))
        if self.context_layer is not None:
            outs.append(self.context_layer(x))
        in_parts = len(parts) > 0 and takes_short_cuts(x)
        for branch, dilation in zip(self.aspp_modules, self.dilations):
            outs.append(branch.finish(branch.conv.of_parts(parts)) if in_parts and dilation == 1 else branch(x))
        return self.bottleneck(torch.cat(outs, dim=1))
