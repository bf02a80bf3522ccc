"""What hides cells of an encoder's feature maps, and the Rebuilder, which fills them in again (MRM, section 3)."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers import resize, to_map, to_tokens
from mmseg.models.segmentors.base import BaseSegmentor

CELL = 32  # pixels of the image per cell of an automatic grid
PROBE = 64  # side in pixels of the image that shows what maps an encoder makes

Grid = tuple[int, int]  # rows and columns of cells


class Level(NamedTuple):
    """A feature map: its channels, and the pixels of the encoder's input per cell."""
    channels: int
    stride: float


@torch.no_grad()
def feature_layout(segmentor: BaseSegmentor) -> list[Level]:
    """The maps that the segmentor really makes at one scale of the image, neck included, high resolution first."""
    training, parameter = segmentor.training, next(segmentor.parameters())
    side = round(PROBE / segmentor.context_scale)
    image = torch.zeros(1, 3, side, side, device=parameter.device, dtype=parameter.dtype)
    maps = segmentor.eval().encode(image).by_scale()[0]
    segmentor.train(training)
    return [Level(x.shape[1], PROBE / x.shape[-1]) for x in maps]


def sine_positions(grid: Grid, dim: int, device: torch.device) -> Tensor:
    """Fixed 2-D sine-cosine codes [rows * columns, dim]: the first half of the channels tells the row."""
    frequencies = 10000**(torch.arange(dim // 4, device=device) / (-dim / 4))

    def codes(length: int) -> Tensor:
        angles = torch.arange(length, device=device)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    rows, columns = (codes(length) for length in grid)
    return torch.cat([rows.repeat_interleave(grid[1], dim=0), columns.repeat(grid[0], 1)], dim=1)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of maps [B, C, h, w], with the eps of the published Rebuilder."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each cell over its channels."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def projector(dim: int, channels: int, doublings: int) -> nn.Sequential:
    """From maps [B, dim, h, w] to [B, channels, h * 2**doublings, w * 2**doublings]."""
    layers, width = nn.Sequential(), dim
    for i in range(doublings):
        if i > 0:
            layers.add_module(f'norm{i}', LayerNorm2d(width))
            layers.add_module(f'act{i}', nn.GELU())
        narrower = max(width // 2, dim // 4)
        layers.add_module(f'deconv{i + 1}', nn.ConvTranspose2d(width, narrower, kernel_size=4, stride=2, padding=1))
        width = narrower
    layers.add_module('conv', nn.Conv2d(width, channels, kernel_size=1))
    layers.add_module('norm', LayerNorm2d(channels))
    return layers


class HiddenCells(nn.Module):
    """Hides cells of feature maps: there they become zero. A cell covers the same part of the image at each level.

    Args:
        layout: of all maps.
        read: indices of the maps that a decoder reads; the others are left alone.
        grid: rows and columns of cells; 'auto' makes cells of 32 x 32 pixels.

    Raises:
        ValueError: if the grid is not understood.
    """

    def __init__(self, layout: Sequence[Level], read: Iterable[int], grid: Grid | str = 'auto') -> None:
        super().__init__()
        self.layout, self.read = list(layout), sorted({index % len(layout) for index in read})
        self.grid: Grid | None = None  # automatic
        if grid != 'auto':
            if not isinstance(grid, (list, tuple)) or len(grid) != 2 or not all(
                    isinstance(side, int) and side > 0 for side in grid):
                raise ValueError(f"grid={grid!r}: use 'auto' or (rows, columns), e.g. (16, 16)")
            self.grid = grid[0], grid[1]

    def grid_of(self, maps: Sequence[Tensor]) -> Grid:
        """Rows and columns of cells for these maps; 'auto' rounds up: (ceil(H / 32), ceil(W / 32)) of the image.

        Raises:
            ValueError: if there would be more cells than a map has.
        """
        (height, width), stride = maps[-1].shape[-2:], self.layout[-1].stride
        grid = self.grid or (math.ceil(height * stride / CELL), math.ceil(width * stride / CELL))
        for index in self.read:
            size = tuple(maps[index].shape[-2:])
            if grid[0] > size[0] or grid[1] > size[1]:
                raise ValueError(f'uda.mrm.grid={self.grid or "auto"!r}: {grid[0]} x {grid[1]} cells are finer than '
                                 f'the map of {size[0]} x {size[1]} at level {index}: choose a grid of at most that '
                                 'size')
        return grid

    def contents(self, maps: Sequence[Tensor], keep: Tensor) -> dict[int, Tensor]:
        """What fills the hidden cells, by level, in any form that broadcasts with the map."""
        return {index: maps[index].new_zeros(()) for index in self.read}

    def forward(self, maps: Sequence[Tensor], keep: Tensor) -> list[Tensor]:
        """The maps with other contents in hidden cells; kept cells are bit-equal to what came in.

        Args:
            maps: one [B, C_i, h_i, w_i] per level.
            keep: bool [B, 1, rows, columns], False where a cell is hidden, at all levels alike.
        """
        changed = list(maps)
        for index, content in self.contents(maps, keep).items():
            kept = F.interpolate(keep.to(torch.uint8), maps[index].shape[-2:], mode='nearest').bool()
            changed[index] = torch.where(kept, maps[index], content)
        return changed


class Rebuilder(HiddenCells):
    """Rebuilds hidden cells from the visible ones: a small transformer on the last level's cells, then one
    deconvolution chain per level (MRM, section 3.2). It is part of the training alone.

    Args:
        layout, read, grid: see :class:`HiddenCells`.
        size: (height, width) in pixels of the encoder's training input, for the lengths of the chains that a grid of
            one's own needs; None: as for cells of 32 pixels. What a chain does not meet, a bilinear resize does.
        dim: width of the transformer, a multiple of 4 and of ``heads``.
        depth, heads: transformer blocks, and attention heads of each.

    Raises:
        ValueError: if the grid is not understood, or the width does not fit.
    """

    def __init__(self, layout: Sequence[Level], read: Iterable[int], grid: Grid | str = 'auto',
                 size: tuple[int, int] | None = None, dim: int = 512, depth: int = 2, heads: int = 16) -> None:
        super().__init__(layout, read, grid)
        if dim % 4 or dim % heads:
            raise ValueError(f'dim={dim} must be a multiple of 4 (for the position codes) and of heads={heads}')
        self.dim = dim
        self.embed = nn.Linear(self.layout[-1].channels, dim)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, dim, 1, 1))
        self.blocks = nn.Sequential(*(
            nn.TransformerEncoderLayer(dim, heads, 4 * dim, dropout=0, activation='gelu', batch_first=True,
                                       norm_first=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.projectors = nn.ModuleDict({
            str(index): projector(dim, self.layout[index].channels, self._doublings(index, size))
            for index in self.read})
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def _doublings(self, index: int, size: tuple[int, int] | None) -> int:
        """How often a side of the grid is doubled to reach the map of a level, or exceed it."""
        stride = self.layout[index].stride
        ratio = CELL / stride
        if self.grid is not None and size is not None:
            ratio = max(math.ceil(side / stride) / cells for side, cells in zip(size, self.grid))
        return max(math.ceil(math.log2(ratio)), 0)

    def contents(self, maps: Sequence[Tensor], keep: Tensor) -> dict[int, Tensor]:
        """The rebuilt maps, by level; of hidden cells nothing is seen but where they are."""
        grid = keep.shape[-2], keep.shape[-1]
        x = to_map(self.embed(to_tokens(maps[-1])), tuple(maps[-1].shape[-2:]))
        x = torch.where(keep, resize(x, grid), self.mask_token)
        x = to_tokens(x) + sine_positions(grid, self.dim, x.device)
        x = to_map(self.norm(self.blocks(x)), grid)
        return {index: resize(self.projectors[str(index)](x), maps[index].shape[-2:]).to(maps[index].dtype)
                for index in self.read}
