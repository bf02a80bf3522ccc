"""Sliding windows over an image."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmseg.models.segmentors.results import Box

# Detail crops of HRDA per call of a network in evaluation; a training step has them all in one call, because batch
# norms of a teacher see them together.
CROPS_PER_CALL = 16


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


def cut(image: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Windows [n B, C, h, w] of images [B, C, H, W]: windows in front, images within."""
    return torch.cat([image[:, :, y1:y2, x1:x2] for y1, y2, x1, x2 in boxes])


def average_windows(function: Callable[[list[Box]], Tensor], size: tuple[int, int], boxes: list[Box],
                    batched: bool) -> Tensor:
    """Average the results of windows where they overlap.

    Args:
        function: gives the results [n B, C, h, w] of n windows, windows in front.
        size: (height, width) of the image.
        boxes: the windows.
        batched: all windows in one call instead of one by one.

    Returns:
        [B, C, *size].
    """
    canvas = Canvas(size)
    for group in [boxes] if batched else [[box] for box in boxes]:
        for window, box in zip(function(group).chunk(len(group)), group):
            canvas.add(window, box)
    return canvas.mean()


def slide(function: Callable[[Tensor], Tensor], image: Tensor, crop: tuple[int, int], stride: tuple[int, int],
          batched: bool) -> Tensor:
    """Apply ``function`` to windows of an image and average the results.

    Args:
        function: maps [n, 3, h, w] to [n, C, h, w].
        image: [B, 3, H, W].
        crop, stride: (height, width) of a window and between windows.
        batched: all windows in one call instead of one by one.

    Returns:
        [B, C, H, W].
    """
    size = tuple(image.shape[-2:])
    return average_windows(lambda group: function(cut(image, group)), size, window_boxes(size, crop, stride), batched)


def in_parts(function: Callable[[list[Tensor]], list[Tensor]], maps: list[Tensor], size: int) -> list[Tensor]:
    """``function(maps)``, computed for at most ``size`` entries of the batch at a time."""
    parts = [function([x[i:i + size] for x in maps]) for i in range(0, len(maps[0]), size)]
    return [torch.cat(level) for level in zip(*parts)]
