"""Training panels: what the step saw and made, one picture per image of the batch."""
from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from mmseg.visualization.palettes import Palette, colourise

INCHES, TITLE_INCHES, COLUMNS = 3, 0.35, 5
# What may be said of a predicted pixel, and its colour: green, red, grey; black where nothing is known.
RIGHT, WRONG, UNSURE, UNKNOWN = 0, 1, 2, 3
VERDICTS = ((60, 160, 75), (220, 40, 40), (150, 150, 150), (0, 0, 0))


@dataclass(frozen=True)
class Panel:
    """One map of a batch.

    Attributes:
        title: printed above it.
        kind: 'image' (normalised float [B, 3, H, W]), 'label' (ids [B, H, W]), 'verdict' (RIGHT, WRONG, UNSURE or
            UNKNOWN, [B, H, W]), 'mask' or 'weight' ([B, H, W], 0..1). All but images may have a channel axis of length
            1.
        tensor: the batch of maps, on any device.
    """
    title: str
    kind: Literal['image', 'label', 'verdict', 'mask', 'weight']
    tensor: Tensor

    def cpu(self) -> Panel:
        """The same panel in host memory. Waits for the device."""
        return replace(self, tensor=self.tensor.detach().cpu())


def denormalise(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Normalised float [3, H, W] -> uint8 [H, W, 3]; ``mean`` and ``std`` as in ``img_norm_cfg``."""
    pixels = image.float().permute(1, 2, 0).numpy() * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
    return pixels.round().clip(0, 255).astype(np.uint8)


def draw_panels(panels: Sequence[Panel], out_file: str | os.PathLike, palette: Palette, mean: Sequence[float],
                std: Sequence[float], index: int = 0) -> None:
    """Draw one image of the batch as a grid, five panels per row, each three inches wide.

    Args:
        panels: what to draw, in host memory.
        out_file: PNG to write; its folder is made.
        palette: RGB colours 0..255 of the label panels.
        mean, std: of the images' normalisation.
        index: which image of the batch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    height, width = panels[0].tensor.shape[-2:]
    size = INCHES * columns, (INCHES * height / width + TITLE_INCHES) * rows
    figure = Figure(figsize=size, layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels):]:
        axes.axis('off')
    for axes, panel in zip(grid, panels):
        _draw(axes, panel, palette, mean, std, index)
    Path(out_file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_file)


def _draw(axes, panel: Panel, palette: Palette, mean: Sequence[float], std: Sequence[float], index: int) -> None:
    values, title = panel.tensor[index], panel.title
    if panel.kind == 'image':
        axes.imshow(denormalise(values, mean, std))
    else:
        values = values.reshape(values.shape[-2:]).float().numpy()
        if panel.kind in ('label', 'verdict'):
            colours = palette if panel.kind == 'label' else VERDICTS
            axes.imshow(colourise(values, colours), interpolation='nearest')
        else:
            cmap = 'gray' if panel.kind == 'mask' else 'viridis'
            axes.imshow(values, cmap=cmap, vmin=0, vmax=1, interpolation='nearest')
            if panel.kind == 'weight':
                title += f' (mean {values.mean():.3f})'
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
