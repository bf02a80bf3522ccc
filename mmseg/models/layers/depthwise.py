"""Dilated depthwise convolutions on the CPU, where oneDNN's kernels without dilation are several times faster.

A convolution of dilation d never mixes cells whose rows or columns differ by anything but multiples of d. The d x d
*phases* of a map are maps of their own, which one ordinary convolution takes as a batch: the same products and sums.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# columns for which oneDNN has a depthwise weight gradient; for narrower maps it takes a dense one, 7 times as long
NARROWEST = 3


def _whole_and_rest(side: int, dilation: int) -> list[tuple[slice, int, slice]]:
    """Of an axis: the cells that all phases have, then those that only the first phases have.

    Each as its part of the map, the number of its phases, and its part of each phase.
    """
    count, rest = divmod(side, dilation)
    whole = slice(0, count * dilation), dilation, slice(0, count)
    last = slice(count * dilation, side), rest, slice(count, count + 1)
    return [part for part, there in ((whole, count), (last, rest)) if there]


def _pairs(x: Tensor, cells: Tensor, dilation: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of a map [B, H, W, C] and of its phases [B, d, d, h, w, C] that show the same cells in the same order."""
    columns = _whole_and_rest(x.shape[2], dilation)
    for rows, down, row in _whole_and_rest(x.shape[1], dilation):
        for cols, across, column in columns:
            part = x[:, rows, cols].unflatten(2, (-1, across)).unflatten(1, (-1, down))
            yield part, cells[:, :down, :across, row, column].permute(0, 3, 1, 4, 2, 5)


def phases(x: Tensor, dilation: int, narrowest: int = 1) -> Tensor:
    """The cells [B*d*d, C, h, w] of a map [B, C, H, W] by their row and column modulo d = dilation.

    Zeros fill up what is no multiple, as they surround the map: h = ceil(H/d), and w = ceil(W/d), but at least
    ``narrowest``. The result is in the channels-last layout.
    """
    b, c, height, width = x.shape
    h, w = -(-height // dilation), max(-(-width // dilation), narrowest)
    cells = x.new_empty(b, dilation, dilation, h, w, c)
    (row, rows), (column, columns) = divmod(height, dilation), divmod(width, dilation)
    cells[:, rows:, :, row:] = 0
    cells[:, :, columns:, :, column:] = 0
    cells[:, :, :columns, :, column + 1:] = 0
    for part, same in _pairs(x.permute(0, 2, 3, 1), cells, dilation):
        same.copy_(part)
    return cells.view(-1, h, w, c).permute(0, 3, 1, 2)


def from_phases(cells: Tensor, dilation: int, x: Tensor) -> Tensor:
    """Fill a map [B, C, H, W] in the channels-last layout with the cells whose :func:`phases` these are."""
    cells = cells.permute(0, 2, 3, 1).unflatten(0, (-1, dilation, dilation))
    for part, same in _pairs(x.permute(0, 2, 3, 1), cells, dilation):
        part.copy_(same)
    return x


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    """Of an ordinary 3x3 depthwise convolution of ``x``: by ``x``, weight and bias, None where not ``wanted``."""
    return torch.ops.aten.convolution_backward(
        grad, x, weight, [len(weight)], [1, 1], [1, 1], [1, 1], False, [0, 0], len(weight), wanted)


class DilatedDepthwise(torch.autograd.Function):
    """``apply(x, weight, bias, dilation)``: the 3x3 depthwise convolution of a map, padded to keep its size.

    The phases are made again for the backward pass: one map beside the output less to keep.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        out = torch.empty_like(x, memory_format=torch.channels_last)
        for image, convolved in zip(x.split(1), out.split(1)):  # one by one, which takes less memory
            cells = F.conv2d(phases(image, dilation), weight, bias, padding=1, groups=len(weight))
            from_phases(cells, dilation, convolved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Gradients by the map, the weights and the bias."""
        x, weight = ctx.saved_tensors
        of_map, *of_parameters = ctx.needs_input_grad[:3]
        by_map: Tensor | None = None
        sums: list[Tensor | None] = [None, None]
        # image by image and in two calls: whole batches of phases would be the peak of a training step's memory
        for index, (image, image_grad) in enumerate(zip(x.split(1), grad.split(1))):
            cells = phases(image_grad, ctx.dilation, NARROWEST)
            _, *found = _gradients(cells, phases(image, ctx.dilation, NARROWEST), weight, [False, *of_parameters])
            sums = [new if old is None else old + new for old, new in zip(sums, found)]
            if of_map:
                cells = _gradients(cells, cells, weight, [True, False, False])[0]  # of the map only the size counts
                by_map = torch.empty_like(x, memory_format=torch.channels_last) if by_map is None else by_map
                from_phases(cells, ctx.dilation, by_map[index:index + 1])
        return by_map, *sums, None
