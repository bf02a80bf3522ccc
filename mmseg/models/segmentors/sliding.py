"""Sliding windows over an image."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Box = tuple[int, int, int, int]


def window_boxes(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]) -> list[Box]:
    """Windows (y1, y2, x1, x2) that cover an image, row by row.

    The last window of a row or column is shifted inwards to end at the border; a window never exceeds the image.

    Args:
        size, crop, stride: (height, width) of the image, of a window, and between two windows.
    """

    def spans(length: int, window: int, step: int) -> list[tuple[int, int]]:
        count = max(length - window + step - 1, 0) // step + 1
        ends = [min(i * step + window, length) for i in range(count)]
        return [(max(end - window, 0), end) for end in ends]

    rows, columns = (spans(*axis) for axis in zip(size, crop, stride))
    return [row + column for row in rows for column in columns]


class Canvas:
    """A map that windows are added to; its mean divides by how many windows cover a cell."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.total: Tensor | None = None
        self.count: Tensor | None = None

    def add(self, window: Tensor, box: Box) -> None:
        """Add ``window`` [B, C, h, w] at ``box``."""
        if self.total is None:
            self.total = window.new_zeros(*window.shape[:2], *self.size)
            self.count = window.new_zeros(self.size)
        y1, y2, x1, x2 = box
        self.total[:, :, y1:y2, x1:x2] += window
        self.count[y1:y2, x1:x2] += 1

    def mean(self) -> Tensor:
        """The averaged map [B, C, *size]."""
        return self.total / self.count


def slide(function: Callable[[Tensor], Tensor], image: Tensor, crop: tuple[int, int], stride: tuple[int, int],
          batched: bool) -> Tensor:
    """Apply ``function`` to windows of an image and average the results.

    Args:
        function: maps [n, 3, h, w] to [n, C, h, w].
        image: [B, 3, H, W].
        crop, stride: (height, width) of a window and between windows.
        batched: all windows in one call (windows in front, images within) instead of one by one.

    Returns:
        [B, C, H, W].
    """
    boxes = window_boxes(tuple(image.shape[-2:]), crop, stride)
    canvas = Canvas(tuple(image.shape[-2:]))
    if batched:
        stacked = function(torch.cat([image[:, :, y1:y2, x1:x2] for y1, y2, x1, x2 in boxes]))
        for window, box in zip(stacked.split(image.shape[0]), boxes):
            canvas.add(window, box)
    else:
        for y1, y2, x1, x2 in boxes:
            canvas.add(function(image[:, :, y1:y2, x1:x2]), (y1, y2, x1, x2))
    return canvas.mean()
