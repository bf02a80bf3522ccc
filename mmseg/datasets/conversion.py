"""What the converters of tools/convert_datasets have in common: label maps with train ids, and class statistics."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES
from mmseg.datasets.class_stats import FileCounts, class_pixels, progress_map, save_stats
from mmseg.datasets.errors import DataError
from mmseg.datasets.files import read_label, write_atomically


def parse_arguments(description: str, name: str, gt_dir: str, nproc: int, argv: Sequence[str] | None = None
                    ) -> argparse.Namespace:
    """Command line of a converter: ``path``, ``gt_dir`` (joined to path), ``out_dir`` (default path), ``nproc``."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument('path', metavar=name, help='folder of the data set')
    parser.add_argument('--gt-dir', default=gt_dir, help=f'folder of the labels below {name} (default: %(default)s)')
    parser.add_argument('-o', '--out-dir', help=f'folder of the statistics (default: {name})')
    parser.add_argument('--nproc', type=int, default=nproc, help='number of processes (default: %(default)s)')
    args = parser.parse_args(argv)
    args.gt_dir = os.path.join(args.path, args.gt_dir)
    args.out_dir = args.out_dir or args.path
    return args


def train_ids(ids: np.ndarray, table: np.ndarray, num_ids: int, file: str) -> np.ndarray:
    """Train ids of the ids in a label file.

    Args:
        ids: integers [H, W].
        table: uint8 [256], see :func:`~mmseg.datasets.label_format.id_table`.
        num_ids: number of ids of the data set.

    Raises:
        DataError: if the file holds an id that the data set does not have (255 is allowed).
    """
    ids = np.minimum(ids.astype(np.int32), 256)
    wrong = [int(i) for i in np.flatnonzero(np.bincount(ids.ravel())) if i >= num_ids and i != 255]
    if wrong:
        raise DataError(f'label map {file} holds the ids {wrong}, the data set has 0 to {num_ids - 1}: is --gt-dir the '
                        'folder of the original labels, in the version that the documents name?')
    return table[ids]


def list_labels(gt_dir: str, pattern: str) -> list[str]:
    """Sorted paths of the files anywhere below ``gt_dir`` that match a glob pattern.

    Raises:
        DataError: if the folder does not exist or has no such file.
    """
    if not os.path.isdir(gt_dir):
        raise DataError(f'{gt_dir} does not exist: give the folder of the data set, and --gt-dir if its labels lie '
                        'elsewhere')
    files = sorted(os.path.join(gt_dir, path.relative_to(gt_dir)) for path in Path(gt_dir).rglob(pattern))
    if not files:
        raise DataError(f'no file below {gt_dir} matches {pattern}: is it the folder of the labels (--gt-dir)?')
    return files


@dataclass(frozen=True)
class Converter:
    """Makes ``*_labelTrainIds.png`` of one label file and counts its classes.

    Args:
        read: from a label file to its train ids, uint8 [H, W].
        suffix: end of the label files, to be replaced.
    """
    read: Callable[[str], np.ndarray]
    suffix: str

    def target(self, file: str) -> str:
        """The file that is written."""
        return f'{file[:-len(self.suffix)]}_labelTrainIds.png'

    def __call__(self, file: str) -> tuple[dict[int, int], bool]:
        """Convert ``file`` unless that is done; returns the pixels by train id, and whether it was still to be done."""
        target = self.target(file)
        label = _finished(target)
        if label is not None:
            return class_pixels(label), False
        label = self.read(file)
        content = cv2.imencode('.png', label)[1].tobytes()
        try:
            write_atomically(target, lambda temporary: Path(temporary).write_bytes(content))
        except OSError as error:
            raise DataError(f'{target} cannot be written: {error}') from error
        return class_pixels(label), True


def _finished(path: str) -> np.ndarray | None:
    """The label map of an earlier run, if it is there and whole."""
    try:
        return read_label(path) if os.path.isfile(path) else None
    except DataError:
        return None


def convert_labels(files: Sequence[str], converter: Converter, nproc: int) -> FileCounts:
    """Convert all files that are not converted yet, with a progress bar, and print how many they were.

    Returns:
        By written file, the number of pixels by train id.
    """
    done = list(progress_map(converter, files, nproc, 'Converting labels'))
    new = sum(is_new for _, is_new in done)
    print(f'{len(files)} label maps: {new} converted, {len(files) - new} were already')
    return {converter.target(file): classes for file, (classes, _) in zip(files, done, strict=True)}


def write_statistics(counts: FileCounts, out_dir: str) -> None:
    """Write the three statistics files for rare class sampling, and print which classes occur.

    Raises:
        DataError: if no file has any class, or they cannot be written.
    """
    if not any(counts.values()):
        raise DataError(f'none of the {len(counts)} label maps holds a known class id: is --gt-dir the folder of the '
                        'original labels?')
    try:
        save_stats(counts, out_dir)
    except OSError as error:
        raise DataError(f'the statistics cannot be written to {out_dir}: {error}') from error
    present = set().union(*counts.values())
    never = [name for i, name in enumerate(CITYSCAPES_CLASSES) if i not in present]
    print(f'Statistics of {len(counts)} label maps are in {out_dir}: {len(present)} of {len(CITYSCAPES_CLASSES)} '
          'classes occur' + (f", without {', '.join(never)}" if never else ''))


def convert_dataset(args: argparse.Namespace, pattern: str, converter: Converter) -> None:
    """Convert the files of ``args.gt_dir`` that match ``pattern`` and write the statistics of all of them."""
    counts = convert_labels(list_labels(args.gt_dir, pattern), converter, args.nproc)
    write_statistics(counts, args.out_dir)


def main(convert: Callable[[], None]) -> None:
    """Run a converter; what is wrong with the data ends the program with one line."""
    try:
        convert()
    except DataError as error:
        sys.exit(f'error: {error}')
