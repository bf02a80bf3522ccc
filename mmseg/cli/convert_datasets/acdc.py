"""Lay ACDC out as the configs name it, rgb_anon/<split> and gt/<split>, and count the classes of the training images.

The files are hard links where the disk allows it, else copies; those in rgb_anon/<condition>/<split>/<sequence> stay.
"""
from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets.acdc import ACDCDataset
from mmseg.datasets.class_stats import class_pixels, progress_map
from mmseg.datasets.conversion import write_statistics
from mmseg.datasets.files import read_image
from mmseg.datasets.label_format import LabelFormat
from mmseg.errors import DataError
from mmseg.utils.atomic import write_atomically

IMAGE, LABEL = ACDCDataset.IMG_SUFFIX, ACDCDataset.SEG_MAP_SUFFIX
LABELLED_SPLITS, SPLITS = ('train', 'val'), ('train', 'val', 'test')
TRAIN_IDS = LabelFormat(len(ACDCDataset.CLASSES))


def flat_paths(folder: Path, split: str, suffix: str) -> dict[str, str]:
    """The files of a split as they are published, and where they shall be.

    Raises:
        DataError: if two files have the same name.
    """
    found = sorted(folder.glob(f'*/{split}/*/*{suffix}'))
    targets = {str(file): str(folder / split / file.name) for file in found}
    if len(set(targets.values())) < len(targets):
        raise DataError(f'several files of {split} below {folder} have one name: unpack the archives again')
    return targets


def place(job: tuple[str, str]) -> bool:
    """Check a file and put it at a second path; returns whether that was still to be done."""
    file, target = job
    if os.path.isfile(target) and os.path.getsize(target) == os.path.getsize(file):
        return False
    (TRAIN_IDS.load if file.endswith(LABEL) else read_image)(file)
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).unlink(missing_ok=True)
        _link_or_copy(file, target)
    except OSError as error:
        raise DataError(f'{target} cannot be written: {error}') from error
    return True


def _link_or_copy(file: str, target: str) -> None:
    try:
        os.link(file, target)
    except OSError:  # another disk, or one without links
        write_atomically(target, lambda temporary: shutil.copyfile(file, temporary))


def check_pairs(split: str, images: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse images without label map.

    Raises:
        DataError: naming one.
    """
    frames = {os.path.basename(label).removesuffix(LABEL) for label in labels}
    missing = [image for image in images if os.path.basename(image).removesuffix(IMAGE) not in frames]
    if missing:
        raise DataError(f'{len(missing)} of {len(images)} images of {split} have no label map, such as {missing[0]}: '
                        'unpack gt_trainval.zip (or name its folder with --gt-dir)')


def count(label: str) -> dict[int, int]:
    """Pixels by train id of a label map."""
    return class_pixels(TRAIN_IDS.load(label))


def convert(args: argparse.Namespace) -> None:
    """Convert the data set in ``args.path``: labels in ``gt_dir``, statistics in ``out_dir``, ``nproc`` processes."""
    images = {split: flat_paths(Path(args.path, 'rgb_anon'), split, IMAGE) for split in SPLITS}
    labels = {split: flat_paths(Path(args.gt_dir), split, LABEL) for split in LABELLED_SPLITS}
    if not any(images.values()):
        raise DataError(f'no image in {args.path}/rgb_anon/<condition>/<split>/<sequence>: give the folder of ACDC, '
                        'with rgb_anon_trainvaltest.zip unpacked in it')
    for split in LABELLED_SPLITS:
        check_pairs(split, list(images[split]), list(labels[split]))
    for split in SPLITS:
        jobs = [*images[split].items(), *labels.get(split, {}).items()]
        new = sum(progress_map(place, jobs, args.nproc, f'Laying out {split}'))
        print(f'{split}: {len(images[split])} images, {len(jobs) - len(images[split])} label maps; {new} files laid '
              f'out, {len(jobs) - new} were already')
    train = list(labels['train'].values())
    if train:
        write_statistics(dict(zip(train, progress_map(count, train, args.nproc, 'Counting classes'), strict=True)),
                         args.out_dir)
