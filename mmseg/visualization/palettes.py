"""From train ids to colours."""
from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

Palette = Sequence[Sequence[int]]


def default_palette(num_classes: int) -> list[list[int]]:
    """RGB colours that differ well, for data sets that bring none: hues in golden-angle steps, two brightnesses."""
    return [[round(255 * c) for c in colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.75, 0.95 - 0.35 * (i % 2))]
            for i in range(num_classes)]


def colour_table(palette: Palette) -> np.ndarray:
    """[256, 3] uint8 RGB: the palette, black for every other id (255 included)."""
    table = np.zeros((256, 3), np.uint8)
    table[:len(palette)] = np.asarray(palette, np.uint8)
    return table


def colourise(ids: np.ndarray, palette: Palette) -> np.ndarray:
    """Paint a map of train ids.

    Args:
        ids: integer [H, W], 0..255.
        palette: RGB colours 0..255, one per class.

    Returns:
        uint8 [H, W, 3] RGB; ids without a colour are black.
    """
    return colour_table(palette)[np.asarray(ids).astype(np.uint8)]
