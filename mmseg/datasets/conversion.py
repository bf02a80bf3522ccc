"""What the converters of tools/convert_datasets have in common: label maps with train ids, and class statistics."""
from __future__ import annotations

import argparse
import fnmatch
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmseg.datasets.cityscapes import CITYSCAPES_CLASSES
from mmseg.datasets.class_stats import FileCounts, class_pixels, progress_map, save_stats
from mmseg.datasets.files import read_header, read_label
from mmseg.datasets.pairs import Size, is_close
from mmseg.datasets.storage import list_files
from mmseg.errors import DataError
from mmseg.utils.atomic import write_atomically


def list_labels(gt_dir: str, pattern: str) -> list[str]:
    """Sorted paths of the files anywhere below ``gt_dir`` whose path matches a pattern of the shell, in any case.

    Raises:
        DataError: if the folder does not exist or has no such file.
    """
    if not os.path.isdir(gt_dir):
        raise DataError(f'{gt_dir} does not exist: give the folder of the data set, and --gt-dir if its labels lie '
                        'elsewhere')
    listing = list_files(gt_dir, os.path.splitext(pattern)[1])
    files = [os.path.join(gt_dir, name) for name in listing.files if fnmatch.fnmatch(f'/{name}'.lower(), pattern)]
    if not files:
        raise DataError(f'no file below {gt_dir} matches {pattern}: is it the folder of the labels (--gt-dir)? '
                        f'{len(listing.files) + len(listing.left_out)} other files are there')
    return files


@dataclass(frozen=True)
class Converted:
    """What became of one label file.

    Attributes:
        classes: number of pixels by train id.
        is_new: whether it was still to be converted.
        sizes: (height, width) of label map and image where they differ.
    """
    classes: dict[int, int]
    is_new: bool
    sizes: tuple[Size, Size] | None = None


@dataclass(frozen=True)
class Converter:
    """Makes ``*_labelTrainIds.png`` of one label file and counts its classes.

    Args:
        read: from a label file to its train ids, uint8 [H, W].
        suffix: end of the label files, to be replaced.
        images: folder of the images, from that of the labels, and their suffix, to compare sizes; None: do not.
    """
    read: Callable[[str], np.ndarray]
    suffix: str
    images: tuple[str, str] | None = None

    def target(self, file: str) -> str:
        """The file that is written."""
        return f'{file[:-len(self.suffix)]}_labelTrainIds.png'

    def __call__(self, file: str) -> Converted:
        """Convert ``file`` unless that is done."""
        target = self.target(file)
        label = _finished(target)
        is_new = label is None
        if label is None:
            label = self.read(file)
            content = cv2.imencode('.png', label)[1].tobytes()
            try:
                write_atomically(target, lambda temporary: Path(temporary).write_bytes(content))
            except OSError as error:
                raise DataError(f'{target} cannot be written: {error}') from error
        return Converted(class_pixels(label), is_new, self._sizes(file, label.shape))

    def _sizes(self, file: str, label: Size) -> tuple[Size, Size] | None:
        if self.images is None:
            return None
        folder, suffix = self.images
        image = Path(file).parent / folder / (Path(file).name[:-len(self.suffix)] + suffix)
        if not image.is_file():  # labels may be converted before the images are there
            return None
        header = read_header(str(image))
        return None if (header.height, header.width) == label else (label, (header.height, header.width))


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
    done = dict(zip(files, progress_map(converter, files, nproc, 'Converting labels'), strict=True))
    new = sum(result.is_new for result in done.values())
    print(f'{len(files)} label maps: {new} converted, {len(files) - new} were already')
    differing = {file: result.sizes for file, result in done.items() if result.sizes}
    near = [file for file, sizes in differing.items() if is_close(*sizes)]
    far = [file for file in differing if file not in near]
    if near:
        print(f'{len(near)} of them differ a little from their image, such as {near[0]}: a training resizes them')
    if far:
        print(f'{len(far)} of them have another size than their image, such as {far[0]}: a training stops at them')
    return {converter.target(file): result.classes for file, result in done.items()}


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
