"""Convert the label maps of GTA (Playing for Data) to Cityscapes train ids and count their classes."""
from __future__ import annotations

import argparse

from mmseg.datasets.conversion import Converter, convert_dataset
from mmseg.datasets.gta import GTADataset
from mmseg.datasets.label_format import LabelFormat

SUFFIX, PUBLISHED = GTADataset.ORIGINAL_LABELS


def convert(args: argparse.Namespace) -> None:
    """Convert the data set in ``args.path``: labels in ``gt_dir``, statistics in ``out_dir``, ``nproc`` processes."""
    converter = Converter(LabelFormat(label_map=PUBLISHED).load, SUFFIX, ('../images', '.png'))
    convert_dataset(args, f'*[0-9]{SUFFIX}', converter)
