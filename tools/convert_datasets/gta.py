"""Convert the label maps of GTA (Playing for Data) to Cityscapes train ids and count their classes.

    python tools/convert_datasets/gta.py data/gta --nproc 8
"""
from __future__ import annotations

import numpy as np

from mmseg.datasets.conversion import Converter, convert_dataset, main, parse_arguments, train_ids
from mmseg.datasets.files import read_label
from mmseg.datasets.gta import GTADataset

_, TABLE = GTADataset.ORIGINAL_LABELS


def read(file: str) -> np.ndarray:
    """Train ids of a label map (a palette PNG): uint8 [H, W]."""
    return train_ids(read_label(file), TABLE, 35, file)


def convert() -> None:
    args = parse_arguments(__doc__, 'gta_path', gt_dir='labels', nproc=4)
    convert_dataset(args, '*[0-9].png', Converter(read, '.png'))


if __name__ == '__main__':
    main(convert)
