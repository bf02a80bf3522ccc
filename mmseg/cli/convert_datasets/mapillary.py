"""Convert the label maps of Mapillary Vistas (v1.2) to Cityscapes train ids and count their classes.

Without labels folder in the given one, those of all splits below it are converted, and ``training`` is counted.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmseg.datasets.conversion import (
    Converter,
    convert_labels,
    list_labels,
    write_statistics,
)
from mmseg.datasets.label_format import LabelFormat, published_ids

TRAIN_IDS = {13: 0, 24: 0, 41: 0, 2: 1, 15: 1, 17: 2, 6: 3, 3: 4, 45: 5, 47: 5, 48: 6, 50: 7, 30: 8, 29: 9, 27: 10,
             19: 11, 20: 12, 21: 12, 22: 12, 55: 13, 61: 14, 54: 15, 58: 16, 57: 17, 52: 18}
PUBLISHED = LabelFormat(label_map=published_ids(TRAIN_IDS, 66))


def convert(args: argparse.Namespace) -> None:
    """Convert the data set in ``args.path``: labels in ``gt_dir``, statistics in ``out_dir``, ``nproc`` processes."""
    all_splits = not os.path.isdir(args.gt_dir)
    found = list_labels(args.path, '*/labels/*.png') if all_splits else list_labels(args.gt_dir, '*.png')
    files = [file for file in found if not file.endswith('_labelTrainIds.png')]
    counts = convert_labels(files, Converter(PUBLISHED.load, '.png', ('../images', '.jpg')), args.nproc)
    if all_splits:
        counts = {file: classes for file, classes in counts.items() if 'training' in Path(file).parts} or counts
    write_statistics(counts, args.out_dir)
