"""Pictures of a suite: curves over the training, and predictions below each other."""
from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmseg.experiments.records import NETWORKS, Record
from mmseg.visualization.palettes import Palette, colourise

ROW_INCHES, LABEL_INCHES = 1.2, 1.4
LEGEND_INCHES = 1.6, 0.25  # of an entry


def draw_curves(records: Sequence[Record], path: Path) -> None:
    """mIoU over iterations, student and teacher beside each other: mean over the seeds, and lowest..highest.

    Args:
        records: methods get colours in their order.
        path: PNG to write.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    methods = list(dict.fromkeys(record.method for record in records))
    networks = [network for network in NETWORKS if any(network in record.scores for record in records)]
    figure = Figure(figsize=(6 * len(networks) + 2, 5), layout='constrained')
    axes = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for network, place in zip(networks, axes):
        for position, method in enumerate(methods):
            curves = [record.scores[network] for record in records
                      if record.method == method and network in record.scores]
            iterations = sorted(set.intersection(*map(set, curves))) if curves else []
            values = [[100 * curve[iteration]['mIoU'] for curve in curves] for iteration in iterations]
            colour = colormaps['tab20'](position % 20)
            place.plot(iterations, [statistics.fmean(each) for each in values], color=colour, marker='o', label=method)
            place.fill_between(iterations, [min(each) for each in values], [max(each) for each in values],
                               color=colour, alpha=0.15, linewidth=0)
        place.set(title=network, xlabel='iteration')
        place.grid(alpha=0.3)
    axes[0].set_ylabel('mIoU, %')
    figure.legend(*axes[0].get_legend_handles_labels(), loc='outside right upper')
    figure.savefig(path, dpi=120)


def draw_predictions(rows: Mapping[str, Sequence[np.ndarray]], classes: Sequence[str], palette: Palette,
                     path: Path) -> None:
    """A row of pictures for each title, and a legend of the classes.

    Args:
        rows: by title one map per image: uint8 [H, W, 3] RGB, or ids [H, W], which are coloured.
        classes, palette: names and RGB colours of the ids.
        path: PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    first = next(iter(rows.values()))
    widths = [picture.shape[1] / picture.shape[0] for picture in first]
    width = LABEL_INCHES + ROW_INCHES * sum(widths)
    columns = max(1, int(width / LEGEND_INCHES[0]))
    height = ROW_INCHES * len(rows) + LEGEND_INCHES[1] * (1 + math.ceil(len(classes) / columns))
    figure = Figure(figsize=(width, height), layout='constrained')
    grid = figure.subplots(len(rows), len(first), squeeze=False, width_ratios=widths)
    for line, (title, pictures) in zip(grid, rows.items()):
        for axes, picture in zip(line, pictures):
            axes.imshow(picture if picture.ndim == 3 else colourise(picture, palette), interpolation='nearest',
                        aspect='auto')
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, rotation='horizontal', ha='right', va='center')
    figure.legend(handles=[Patch(color=np.array(colour) / 255, label=name) for name, colour in zip(classes, palette)],
                  loc='outside lower center', ncols=columns, frameon=False)
    figure.savefig(path, dpi=120)
