"""Convert a published data set for training, or a checkpoint: udaseg convert WHAT ..."""
from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from mmseg.cli.convert_checkpoint import add_arguments, write


class Labels(NamedTuple):
    """A data set to convert, by a module of :mod:`mmseg.cli.convert_datasets` with its name.

    Attributes:
        about: what is done.
        folder: of the labels, below that of the data set.
        processes: how many work unless the command line says.
    """
    about: str
    folder: str
    processes: int


COUNTED = 'to Cityscapes train ids, and count their classes'
DATASETS = dict(
    acdc=Labels('lay ACDC out as the configs name it, rgb_anon/<split> and gt/<split>, and count the classes of the '
                'training images. The files are hard links where the disk allows it, else copies', 'gt', 4),
    cityscapes=Labels('draw the label maps of Cityscapes with train ids, count the classes of the training images, '
                      'list the splits', 'gtFine', 1),
    gta=Labels(f'convert the label maps of GTA (Playing for Data) {COUNTED}', 'labels', 4),
    mapillary=Labels(f'convert the label maps of Mapillary Vistas (v1.2) {COUNTED}; without labels folder in the given '
                     'one, those of all splits below it are converted, and `training` is counted', 'labels', 4),
    synthia=Labels(f'convert the label maps of SYNTHIA-RAND-CITYSCAPES {COUNTED}', 'GT/LABELS', 4))


def add_data_set(parser: argparse.ArgumentParser, name: str) -> None:
    """The arguments of one data set."""
    parser.add_argument('path', metavar=f'{name}_path', help='folder of the data set')
    parser.add_argument('--gt-dir', default=DATASETS[name].folder,
                        help=f'folder of the labels below {name}_path (default: %(default)s)')
    parser.add_argument('-o', '--out-dir', help=f'folder of the statistics (default: {name}_path)')
    parser.add_argument('--nproc', type=int, default=DATASETS[name].processes,
                        help='number of processes (default: %(default)s)')


def main(args: Sequence[str] | None = None) -> None:
    """Run one of the converters. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Convert a published data set for training, or a checkpoint')
    kinds = parser.add_subparsers(dest='what', required=True, metavar='WHAT')
    for name, labels in DATASETS.items():
        add_data_set(kinds.add_parser(name, help=labels.about, description=labels.about, allow_abbrev=False), name)
    about = 'write the weights of one network of a training checkpoint'
    add_arguments(kinds.add_parser('checkpoint', help=about, description=about))
    parsed = parser.parse_args(args)
    if parsed.what == 'checkpoint':
        write(parsed)
        return
    parsed.gt_dir = os.path.join(parsed.path, parsed.gt_dir)
    parsed.out_dir = parsed.out_dir or parsed.path
    import_module(f'mmseg.cli.convert_datasets.{parsed.what}').convert(parsed)
