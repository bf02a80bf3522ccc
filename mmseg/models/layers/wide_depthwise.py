"""Depthwise convolutions with wide kernels on the CPU, where oneDNN's weight gradient is slow.

For kernels of 5 x 5 and more, oneDNN has no depthwise implementation of the weight gradient. It falls back on one for
dense groups, which pads the single channel of each group to sixteen on both sides: 256 times the sums, and tens of MiB
to hold them. Here a row of the map at a time is multiplied with the windows that it met.
"""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmseg.models.layers.quick_conv import takes_short_cuts

WIDE = 5  # side of the smallest kernel that oneDNN has no depthwise weight gradient for


def _weight_gradient(grad: Tensor, x: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """Gradient [C, 1, side, side] by the weights, of maps ``x`` [B, C, H, W] and of outputs ``grad`` [B, C, h, w]."""
    grad = grad.permute(0, 2, 3, 1)
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    windows = x.unfold(1, side, stride).unfold(2, side, stride).permute(0, 1, 2, 4, 5, 3)  # [B, h, w, side, side, C]
    sums = x.new_zeros(side, side, x.shape[-1])
    for image in range(grad.shape[0]):
        for row in range(grad.shape[1]):  # what a row takes stays in the cache
            sums += (grad[image, row, :, None, None] * windows[image, row]).sum(0)
    return sums.permute(2, 0, 1).unsqueeze(1)


class _WideDepthwise(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        by_input = None
        if ctx.needs_input_grad[0]:
            by_input = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [ctx.stride] * 2, [ctx.padding] * 2, [1, 1], False, [0, 0], len(weight),
                [True, False, False])[0]
        return by_input, _weight_gradient(grad, x, weight.shape[-1], ctx.stride, ctx.padding), None, None


class WideDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of a wide square kernel, without bias and dilation.

    Without a gradient, off the CPU, in other types than fp32 and compiled, it computes what ``nn.Conv2d`` does.

    Args:
        conv: whose weight it takes over; one of timm's that pad as TensorFlow does still does so.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        from timm.layers import Conv2dSame, pad_same

        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
                         groups=conv.groups, bias=False, device='meta')
        self.weight, self.pad = conv.weight, pad_same if isinstance(conv, Conv2dSame) else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, h, w]."""
        if self.pad is not None:
            x = self.pad(x, self.kernel_size, self.stride)
        if takes_short_cuts(x) and torch.is_grad_enabled() and self.weight.requires_grad:
            return _WideDepthwise.apply(x, self.weight, self.stride[0], self.padding[0])
        return self._conv_forward(x, self.weight, None)


def quicken(network: nn.Module) -> None:
    """Let the wide depthwise convolutions of a network from timm be ``WideDepthwiseConv2d``; no key changes."""
    for parent in list(network.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, nn.Conv2d) and _is_wide_depthwise(conv):
                setattr(parent, name, WideDepthwiseConv2d(conv))


def _is_wide_depthwise(conv: nn.Conv2d) -> bool:
    square = all(len(set(sides)) == 1 for sides in (conv.kernel_size, conv.stride, conv.padding))
    return (conv.groups == conv.in_channels == conv.out_channels > 1 and square and conv.kernel_size[0] >= WIDE
            and set(conv.dilation) == {1} and conv.bias is None and conv.padding_mode == 'zeros')
