"""Convert the label maps of GTA (Playing for Data) to Cityscapes train ids and count their classes.

    python -m tools.convert_datasets.gta data/gta --nproc 8
"""
from __future__ import annotations

from mmseg.datasets.conversion import Converter, convert_dataset, parse_arguments
from mmseg.datasets.gta import GTADataset
from mmseg.datasets.label_format import LabelFormat
from mmseg.errors import command

SUFFIX, PUBLISHED = GTADataset.ORIGINAL_LABELS


def convert() -> None:
    """Convert the data set that the command line names."""
    args = parse_arguments(__doc__, 'gta_path', gt_dir='labels', nproc=4)
    converter = Converter(LabelFormat(label_map=PUBLISHED).load, SUFFIX, ('../images', '.png'))
    convert_dataset(args, f'*[0-9]{SUFFIX}', converter)


if __name__ == '__main__':
    command(convert)
