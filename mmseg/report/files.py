"""The files of a report: the page, and its numbers for programs."""
from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg.evaluation import ImageScore
from mmseg.report.page import page
from mmseg.report.result import Result, known, shares
from mmseg.utils.atomic import write_atomically, write_json

PAGE, METRICS, IMAGES, MATRIX = 'report.html', 'metrics.json', 'images.csv', 'confusion_matrix.png'
INCHES = 0.42  # of a class in the picture of the matrix
WRITTEN = 40  # classes up to which the picture has numbers


def write_report(folder: Path, title: str, results: Sequence[Result], images: Sequence[ImageScore]) -> Path:
    """Write all files, each whole or not at all.

    Args:
        folder: is made if it is not there.
        results: of the networks of one evaluation; picture and table of the images are about the first.
        images: all images of the first result.

    Returns:
        The page.
    """
    first = results[0]
    write_json(folder / METRICS, {
        'name': title, **first.facts,
        'scores': first.scores if len(results) == 1 else {result.name: result.scores for result in results},
        'classes': first.classes, 'confusion_matrix': first.confusion, 'environment': first.environment})
    write_atomically(folder / IMAGES, lambda path: _write_table(path, images, first.classes))
    write_atomically(folder / MATRIX, lambda path: draw_confusion(first, path))
    target = folder / PAGE
    write_page(target, title, results)
    return target


def write_page(target: Path, title: str, results: Sequence[Result]) -> None:
    """Write the page alone."""
    text = page(title, results)
    write_atomically(target, lambda path: Path(path).write_text(text, encoding='utf-8'))


def _write_table(path: str, images: Sequence[ImageScore], classes: Sequence[str]) -> None:
    """A row for each image: scores in 0..1, empty where a class does not occur."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['image', 'labelled_pixels', 'aAcc', 'mIoU', *(f'IoU.{name}' for name in classes)])
        for image in images:
            values = [known(value) for value in (image.accuracy, image.miou, *image.iou)]
            writer.writerow([image.name, int(image.labelled.sum()),
                             *('' if value is None else round(value, 4) for value in values)])


def draw_confusion(result: Result, path: str | Path) -> None:
    """A PNG of the confusion matrix, in percent of the labelled pixels of each class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    part, names = shares(result.confusion or []) * 100, result.classes
    side = min(40., max(4., INCHES * len(names)))
    figure = Figure(figsize=(side + 2, side + 1), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(part, cmap='Blues', vmin=0, vmax=100)
    axes.set(xlabel='prediction', ylabel='label', title=f'{result.name}: confusion, % of the labelled pixels')
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    for row, column in np.argwhere(part >= 0.5) if len(names) <= WRITTEN else ():
        value = part[row, column]
        axes.text(column, row, f'{value:.0f}', ha='center', va='center', fontsize=8,
                  color='white' if value > 60 else 'black')
    figure.colorbar(image, ax=axes, shrink=0.6)
    figure.savefig(path, dpi=110)
