"""Draw the label maps of Cityscapes with train ids, count the classes of the training images, list the splits."""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mmseg.datasets.cityscapes_labels import draw_train_ids
from mmseg.datasets.conversion import Converter, convert_labels, list_labels, write_statistics
from mmseg.errors import DataError
from mmseg.utils.atomic import write_atomically

SUFFIX = '_polygons.json'
SPLITS = ('train', 'val', 'test')


def read(file: str) -> np.ndarray:
    """Train ids of a file of polygons: uint8 [H, W].

    Raises:
        DataError: if the file is damaged or names an unknown class.
    """
    try:
        return draw_train_ids(file)
    except Exception as error:  # whatever a damaged file leads to
        raise DataError(f'label file {file} cannot be drawn ({type(error).__name__}: {error}): download it again') \
            from None


def write_split(folder: Path, gt_dir: Path, split: str, files: list[str]) -> None:
    """Write ``<split>.txt``: one frame per line, ``<city>/<frame>`` without suffix."""
    frames = [Path(file).relative_to(gt_dir / split).as_posix().rsplit('_', 2)[0] for file in files]
    lines = ''.join(f'{frame}\n' for frame in frames)
    write_atomically(folder / f'{split}.txt', lambda temporary: Path(temporary).write_text(lines))


def convert(args: argparse.Namespace) -> None:
    """Convert the data set in ``args.path``: labels in ``gt_dir``, statistics in ``out_dir``, ``nproc`` processes."""
    gt_dir, converter = Path(args.gt_dir), Converter(read, SUFFIX)
    files = list_labels(args.gt_dir, f'*{SUFFIX}')
    counts = convert_labels(files, converter, args.nproc)
    by_split = {split: [f for f in files if Path(f).is_relative_to(gt_dir / split)] for split in SPLITS}
    for split, members in by_split.items():
        if members:
            write_split(Path(args.out_dir), gt_dir, split, members)
    if by_split['train']:
        write_statistics({converter.target(f): counts[converter.target(f)] for f in by_split['train']}, args.out_dir)
