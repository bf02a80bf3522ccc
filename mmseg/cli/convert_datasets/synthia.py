"""Convert the label maps of SYNTHIA-RAND-CITYSCAPES to Cityscapes train ids and count their classes."""
from __future__ import annotations

import argparse

import numpy as np

from mmseg.datasets.conversion import Converter, convert_dataset
from mmseg.datasets.files import read_image
from mmseg.datasets.label_format import LabelFormat, published_ids

# The train ids 9 (terrain), 14 (truck) and 16 (train) have no class here.
TRAIN_IDS = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13, 18: 14,
             19: 15, 20: 16, 12: 17, 11: 18}
PUBLISHED = LabelFormat(label_map=published_ids(TRAIN_IDS, 23))


def read(file: str) -> np.ndarray:
    """Train ids of a 16-bit PNG with the class in its first (red) channel and the instance in the second."""
    channels = read_image(file, 'unchanged')
    ids = channels if channels.ndim == 2 else channels[:, :, 2]  # OpenCV's order is blue, green, red
    return PUBLISHED.read(ids, file)


def convert(args: argparse.Namespace) -> None:
    """Convert the data set in ``args.path``: labels in ``gt_dir``, statistics in ``out_dir``, ``nproc`` processes."""
    convert_dataset(args, '*[0-9].png', Converter(read, '.png', ('../../RGB', '.png')))
