"""Rare class sampling (DAFormer, section 3.2): draw a class, rare ones more often, then an image that shows it."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch

from mmseg.datasets.class_stats import ClassStats, obtain_stats
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.errors import DataError


def class_probabilities(totals: dict[int, int], temperature: float) -> tuple[list[int], np.ndarray]:
    """Classes, the rarest first, and float32 ``softmax((1 - f) / T)`` of their pixel frequencies f."""
    ascending = sorted(totals.items(), key=lambda item: item[1])
    pixels = torch.tensor([n for _, n in ascending])
    frequency = pixels / pixels.sum()
    return [c for c, _ in ascending], torch.softmax((1 - frequency) / temperature, dim=-1).numpy()


def tail(path: str, depth: int = 1) -> str:
    """The last ``depth`` parts of a path, be its separators those of Linux or of Windows."""
    return '/'.join(path.replace('\\', '/').split('/')[-depth:])


def telling_depth(paths: Sequence[str]) -> int:
    """How many last parts tell the paths apart.

    Raises:
        DataError: if a path occurs twice.
    """
    for depth in range(1, 1 + max(len(tail(path, len(path)).split('/')) for path in paths)):
        if len({tail(path, depth) for path in paths}) == len(paths):
            return depth
    raise DataError(f'rare class sampling: two images share one label file, such as {max(paths, key=paths.count)}')


class RareClassSampler:
    """Draws a class and the index of an image with enough pixels of it.

    Args:
        stats: statistics of the data set, by class index.
        label_files: label file of every image; statistics and data set are matched by the end of the path: the base
            name, and as many folders as are needed to tell the files apart.
        class_names: names of the classes.
        min_pixels: an image must have more pixels of the class than this.
        class_temp: temperature; infinity draws all classes alike.
        min_crop_ratio: a crop should have more than ``min_pixels * min_crop_ratio`` pixels of the class; 0: any crop
            will do.

    Attributes:
        min_crop_pixels: ``min_pixels * min_crop_ratio``.
        classes: int array, classes that can be drawn, the rarest first.
        probabilities: float32 array, theirs.
        images: by class, the indices of the images to choose from.

    Raises:
        DataError: if the statistics do not belong to the data set, leave no class to draw, or two images share a label.
    """

    def __init__(self, stats: ClassStats, label_files: Sequence[str], class_names: Sequence[str], min_pixels: int,
                 class_temp: float, min_crop_ratio: float) -> None:
        depth = telling_depth(label_files)
        index = {tail(file, depth): i for i, file in enumerate(label_files)}
        _check(stats, index, len(class_names), depth)
        classes, probabilities = class_probabilities(stats.totals, class_temp)
        self.images = {c: np.array([index[tail(f, depth)] for f, n in stats.samples.get(c, []) if n > min_pixels], int)
                       for c in classes}
        kept = [i for i, c in enumerate(classes) if len(self.images[c])]
        if len(kept) < len(classes):
            dropped = [class_names[c] for c in classes if not len(self.images[c])]
            warnings.warn(f'rare class sampling leaves out {dropped}: no label map has more than min_pixels = '
                          f'{min_pixels} pixels of them', UserWarning, stacklevel=2)
            if not kept:
                raise DataError(f'rare class sampling: no label map has more than min_pixels = {min_pixels} pixels of '
                                'any class; lower min_pixels')
            probabilities = probabilities[kept] / probabilities[kept].sum()
        self.classes = np.array(classes)[kept]
        self.probabilities = probabilities
        self.min_crop_pixels = min_pixels * min_crop_ratio

    def draw(self, rng: np.random.RandomState) -> tuple[int, int]:
        """A class and the index of an image (two draws from ``rng``)."""
        c = int(rng.choice(self.classes, p=self.probabilities))
        images = self.images[c]
        return c, int(images[rng.choice(len(images))])


def _check(stats: ClassStats, index: dict[str, int], num_classes: int, depth: int) -> None:
    remedy = 'delete sample_class_stats*.json and samples_with_class.json in data_root to have them counted again'
    too_high = sorted(c for c in stats.totals if c >= num_classes)
    if too_high or not stats.totals:
        what = f'the ids {too_high}, the data set {num_classes} classes' if too_high else 'no class at all'
        raise DataError(f'the class statistics hold {what}: {remedy}')
    known = {tail(f, depth) for f in stats.files} | {tail(f, depth) for s in stats.samples.values() for f, _ in s}
    unknown = sorted(known - set(index))
    if unknown:
        raise DataError(f'the class statistics name {len(unknown)} label files that the data set does not have, such '
                        f'as {unknown[0]}: check data_root, ann_dir and split, or {remedy}')
    uncounted = sorted(set(index) - known)
    if uncounted:
        warnings.warn(f'{len(uncounted)} images, such as that of {uncounted[0]}, are not in the class statistics and '
                      f'are never drawn: {remedy}', UserWarning, stacklevel=2)


def build_sampler(dataset: CustomDataset, min_pixels: int = 3000, class_temp: float = 0.01,
                  min_crop_ratio: float = 0.5) -> RareClassSampler:
    """The sampler of a source data set; its statistics are counted first if they are missing."""
    if not isinstance(dataset, CustomDataset):
        raise DataError(f'rare class sampling needs one data set with data_root as source, not a '
                        f'{type(dataset).__name__}')
    label_paths = [dataset.label_path(idx) for idx in range(len(dataset))]
    stats = obtain_stats(dataset.stats_folder, label_paths, dataset.label_ids)
    return RareClassSampler(stats.mapped(dataset.label_format.table), label_paths, dataset.CLASSES, min_pixels,
                            class_temp, min_crop_ratio)
