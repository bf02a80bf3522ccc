"""Dilated depthwise convolutions on the CPU, where torch's own kernels are slow.

A depthwise convolution is a weighted sum of nine shifted copies of the map. Summing them block by block, so that a
block stays in the processor's cache, takes half of the time of the general convolution forwards and a third backwards.
"""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS as MMCV_LAYERS
from torch import Tensor, nn

BLOCK_CHANNELS = 64


def _shifts(block: Tensor, dilation: int) -> list[Tensor]:
    """The nine [B, c, H, W] views of a zero-padded [B, c, H, W] block, in the order of the kernel's weights."""
    height, width = block.shape[-2:]
    padded = F.pad(block, (dilation, ) * 4)
    return [padded[..., y:y + height, x:x + width] for y in (0, dilation, 2 * dilation)
            for x in (0, dilation, 2 * dilation)]


def _blocks(channels: int) -> list[slice]:
    return [slice(start, start + BLOCK_CHANNELS) for start in range(0, channels, BLOCK_CHANNELS)]


def _convolve(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for block in _blocks(x.shape[1]):
        total, factors = out[:, block], weight[block].view(-1, 9, 1, 1).unbind(1)
        first, *others = _shifts(x[:, block], dilation)
        torch.mul(first, factors[0], out=total)
        for shifted, factor in zip(others, factors[1:]):
            total.addcmul_(shifted, factor)
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
        grad_weight = torch.empty_like(weight)
        for block in _blocks(x.shape[1]):
            sums = [(shifted * grad[:, block]).sum((0, 2, 3)) for shifted in _shifts(x[:, block], ctx.dilation)]
            grad_weight[block] = torch.stack(sums, dim=1).view_as(grad_weight[block])
        return _convolve(grad, weight.flip(2, 3), ctx.dilation), grad_weight, None


@MMCV_LAYERS.register_module('DepthwiseConv2d')
class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` that takes the short cut for dilated depthwise 3x3 convolutions in fp32 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h', w']."""
        dilated = self.dilation[0] > 1 and self.padding == self.dilation == (self.dilation[0], ) * 2
        depthwise = self.groups == self.in_channels == self.out_channels
        if (dilated and depthwise and self.kernel_size == (3, 3) and self.stride == (1, 1) and x.device.type == 'cpu'
                and x.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')
                and not torch.compiler.is_compiling()):
            out = _DilatedDepthwise.apply(x, self.weight, self.dilation[0])
            return out if self.bias is None else out + self.bias.view(-1, 1, 1)
        return super().forward(x)
