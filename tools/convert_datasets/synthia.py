"""Convert the label maps of SYNTHIA-RAND-CITYSCAPES to Cityscapes train ids and count their classes.

    python -m tools.convert_datasets.synthia data/synthia --nproc 8
"""
from __future__ import annotations

import numpy as np

from mmseg.datasets.conversion import Converter, convert_dataset, parse_arguments
from mmseg.datasets.files import read_image
from mmseg.datasets.label_format import LabelFormat, published_ids
from mmseg.errors import command

# The train ids 9 (terrain), 14 (truck) and 16 (train) have no class here.
TRAIN_IDS = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13, 18: 14,
             19: 15, 20: 16, 12: 17, 11: 18}
PUBLISHED = LabelFormat(label_map=published_ids(TRAIN_IDS, 23))


def read(file: str) -> np.ndarray:
    """Train ids of a 16-bit PNG with the class in its first (red) channel and the instance in the second."""
    channels = read_image(file, 'unchanged')
    ids = channels if channels.ndim == 2 else channels[:, :, 2]  # OpenCV's order is blue, green, red
    return PUBLISHED.read(ids, file)


def convert() -> None:
    """Convert the data set that the command line names."""
    args = parse_arguments(__doc__, 'synthia_path', gt_dir='GT/LABELS', nproc=4)
    convert_dataset(args, '*[0-9].png', Converter(read, '.png', ('../../RGB', '.png')))


if __name__ == '__main__':
    command(convert)
