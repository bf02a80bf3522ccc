"""A convolution that takes the fastest way on the CPU: torch's own choice of kernels is often a slow one there."""
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers.depthwise import DilatedDepthwise
from mmseg.models.layers.resize import resize


def takes_short_cuts(x: Tensor) -> bool:
    """Whether a map is where kernels of our own are faster than torch's choice: in fp32 on the CPU, not compiled."""
    return (x.device.type == 'cpu' and x.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')
            and not torch.compiler.is_compiling())


class QuickConv2d(nn.Conv2d):
    """``nn.Conv2d`` with short cuts in fp32 on the CPU, of maps in the channels-last layout.

    A 1x1 convolution is a matrix product of the cells; a dilated 3x3 depthwise one is an ordinary one of many small
    maps (:mod:`mmseg.models.layers.depthwise`). Everything else, everything elsewhere and everything compiled is
    torch's.
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h', w'], with these weights."""
        if (takes_short_cuts(x) and self.padding_mode == 'zeros'
                and x.is_contiguous(memory_format=torch.channels_last)):
            if self._is_pointwise():
                return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
            if self._is_dilated_depthwise():
                return DilatedDepthwise.apply(x, weight, bias, self.dilation[0])
        return super()._conv_forward(x, weight, bias)

    def _is_pointwise(self) -> bool:
        return self.kernel_size == self.stride == (1, 1) and self.padding == (0, 0) and self.groups == 1

    def _is_dilated_depthwise(self) -> bool:
        dilated = self.dilation[0] > 1 and self.padding == self.dilation == (self.dilation[0], ) * 2
        depthwise = self.groups == self.in_channels == self.out_channels
        return dilated and depthwise and self.kernel_size == (3, 3) and self.stride == (1, 1)

    def of_parts(self, parts: Sequence[Tensor]) -> Tensor:
        """A 1x1 convolution of the concatenation of maps that are resized to the first one.

        Resizing mixes cells, this convolution channels: each map may meet its share of the weights first, while it is
        small.

        Args:
            parts: maps [B, C_i, h_i, w_i], of ``in_channels`` together.

        Returns:
            Map [B, out_channels, h_0, w_0].
        """
        shares = self.weight.split([part.shape[1] for part in parts], dim=1)
        first, *others = (self._conv_forward(part, share, None) for part, share in zip(parts, shares))
        if self.bias is not None:
            first = first + self.bias[:, None, None]
        return reduce(torch.add, (resize(other, first.shape[-2:]) for other in others), first)
