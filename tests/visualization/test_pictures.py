"""Palettes and coloured maps."""
from __future__ import annotations

import numpy as np
import pytest

from mmseg.datasets import get_palette
from mmseg.visualization import blend, colourise, default_palette

PALETTE = [[10, 20, 30], [200, 100, 0]]


def test_ids_get_their_colour_and_others_are_black() -> None:
    assert colourise(np.array([[0, 1, 2, 255]]), PALETTE).tolist() == [[[10, 20, 30], [200, 100, 0], [0, 0, 0],
                                                                       [0, 0, 0]]]


def test_known_palettes() -> None:
    palette = get_palette('cityscapes')
    assert len(palette) == 19 and palette[0] == [128, 64, 128] and palette[18] == [119, 11, 32]
    with pytest.raises(ValueError, match='cityscapes'):
        get_palette('cityscape')


def test_made_up_colours_differ() -> None:
    palette = default_palette(40)
    assert len({tuple(colour) for colour in palette}) == 40
    assert all(0 <= value <= 255 for colour in palette for value in colour)


def test_blend() -> None:
    image = np.full((1, 2, 3), 100, np.uint8)
    ids = np.array([[0, 1]])
    assert blend(image, ids, PALETTE, 1.).tolist() == [[[10, 20, 30], [200, 100, 0]]]
    assert blend(image, ids, PALETTE, 0.25).tolist() == [[[78, 80, 82], [125, 100, 75]]]


@pytest.mark.parametrize('opacity', [0., -1., 1.5])
def test_opacity_out_of_range(opacity: float) -> None:
    with pytest.raises(ValueError, match='opacity'):
        blend(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), int), PALETTE, opacity)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match='differ in size'):
        blend(np.zeros((2, 2, 3), np.uint8), np.zeros((1, 1), int), PALETTE)
