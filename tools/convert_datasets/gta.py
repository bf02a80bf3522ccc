"""Convert the label maps of GTA (Playing for Data) to Cityscapes train ids and count their classes.

    python tools/convert_datasets/gta.py data/gta --nproc 8
"""
from __future__ import annotations

import numpy as np

from mmseg.datasets.conversion import Converter, convert_dataset, main, parse_arguments, train_id_table
from mmseg.datasets.files import read_label

TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
             28: 15, 31: 16, 32: 17, 33: 18}
TABLE = train_id_table(TRAIN_IDS)


def read(file: str) -> np.ndarray:
    """Train ids of a label map (a palette PNG): uint8 [H, W]."""
    return TABLE[read_label(file)]


def convert() -> None:
    args = parse_arguments(__doc__, 'gta_path', gt_dir='labels', nproc=4)
    convert_dataset(args, '*[0-9].png', Converter(read, '.png'))


if __name__ == '__main__':
    main(convert)
