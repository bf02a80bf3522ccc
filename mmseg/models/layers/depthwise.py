"""Dilated depthwise convolutions on the CPU, where torch's own kernels are slow.

A depthwise convolution is a weighted sum of nine shifted copies of the map. Each copy is added where it overlaps the
map, in blocks that the last-level cache holds together with their sum.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BLOCK_CELLS = 2**19  # smaller blocks would fit smaller caches, but start too many parallel regions

Window = tuple[slice, slice]


def _overlap(size: int, shift: int) -> Window | None:
    """Where an axis of ``size`` cells, and where the axis shifted by ``shift``, show the same cells; None: nowhere."""
    if abs(shift) >= size:
        return None
    here, there = slice(max(-shift, 0), size - max(shift, 0)), slice(max(shift, 0), size - max(-shift, 0))
    return here, there


def _taps(size: tuple[int, int], dilation: int) -> list[tuple[int, Window, Window]]:
    """Index of each of the nine weights that meets the map, with the rows and columns it writes to and reads from.

    Zeros around the map add nothing: they are left out, at dilations near the size of the map most of the work.
    """
    shifts = (-dilation, 0, dilation)
    rows, columns = ([_overlap(side, shift) for shift in shifts] for side in size)
    return [(3 * i + j, (row[0], column[0]), (row[1], column[1])) for i, row in enumerate(rows)
            for j, column in enumerate(columns) if row and column]


def _blocks(x: Tensor) -> list[tuple[slice, slice]]:
    """Images and channels of [B, C, H, W] maps, in blocks that stay in the cache."""
    images, channels, height, width = x.shape
    step = max(1, BLOCK_CELLS // (height * width))
    if step >= channels:
        together = step // channels
        return [(slice(i, i + together), slice(None)) for i in range(0, images, together)]
    return [(slice(i, i + 1), slice(c, c + step)) for i in range(images) for c in range(0, channels, step)]


def _convolve(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    out = torch.zeros_like(x, memory_format=torch.contiguous_format)
    taps = _taps(tuple(x.shape[-2:]), dilation)
    factors = weight.view(-1, 9, 1, 1)
    for images, channels in _blocks(x):
        read, written = x[images, channels], out[images, channels]
        for index, here, there in taps:
            written[(..., *here)].addcmul_(read[(..., *there)], factors[channels, index])
    return out


class _DilatedDepthwise(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolve(x, weight, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        sums, taps = torch.zeros(len(weight), 9), _taps(tuple(x.shape[-2:]), ctx.dilation)
        for images, channels in _blocks(x):
            read, written = x[images, channels], grad[images, channels]
            for index, here, there in taps:
                sums[channels, index] += (read[(..., *there)] * written[(..., *here)]).sum((0, 2, 3))
        return _convolve(grad, weight.flip(2, 3), ctx.dilation), sums.view_as(weight), None


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` that takes the short cut for dilated depthwise 3x3 convolutions in fp32 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h', w']."""
        dilated = self.dilation[0] > 1 and self.padding == self.dilation == (self.dilation[0], ) * 2
        depthwise = self.groups == self.in_channels == self.out_channels
        plain = self.kernel_size == (3, 3) and self.stride == (1, 1) and self.padding_mode == 'zeros'
        if (dilated and depthwise and plain and x.device.type == 'cpu' and x.dtype == torch.float32
                and not torch.is_autocast_enabled('cpu') and not torch.compiler.is_compiling()):
            out = _DilatedDepthwise.apply(x, self.weight, self.dilation[0])
            return out if self.bias is None else out + self.bias.view(-1, 1, 1)
        return super().forward(x)
