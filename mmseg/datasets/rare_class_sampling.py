"""Rare class sampling (DAFormer, section 3.2): draw a class, rare ones more often, then an image that shows it."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.class_stats import ClassStats, match_files, obtain_stats
from mmseg.datasets.custom import CustomDataset
from mmseg.errors import DataError


def class_probabilities(totals: dict[int, int], temperature: float) -> tuple[list[int], np.ndarray]:
    """Classes, the rarest first, and float32 ``softmax((1 - f) / T)`` of their pixel frequencies f."""
    ascending = sorted(totals.items(), key=lambda item: item[1])
    pixels = torch.tensor([n for _, n in ascending])
    frequency = pixels / pixels.sum()
    return [c for c, _ in ascending], torch.softmax((1 - frequency) / temperature, dim=-1).numpy()


class RareClassSampler:
    """Draws a class and the index of an image with enough pixels of it.

    Args:
        stats: statistics of the data set, by class index.
        label_files: label file of every image.
        root: folder of the data set, see :func:`~mmseg.datasets.class_stats.match_files`.
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
                 class_temp: float, min_crop_ratio: float, root: str = '.') -> None:
        index = match_files(stats.files, label_files, root)
        stats = stats.of(index)
        _check(stats, class_names, label_files)
        classes, probabilities = class_probabilities(stats.totals, class_temp)
        self.images = {c: np.array([index[f] for f, n in stats.samples.get(c, []) if n > min_pixels], int)
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


def _check(stats: ClassStats, class_names: Sequence[str], label_files: Sequence[str]) -> None:
    if not stats.totals:
        raise DataError(f'rare class sampling: all {len(label_files)} label maps, such as {label_files[0]}, are 255 '
                        '(unlabelled) at every pixel, as the data set reads them: check ann_dir, label_map, classes, '
                        'ignore_index and reduce_zero_label')
    too_high = sorted(c for c in stats.totals if c >= len(class_names))
    if too_high:
        raise DataError(f'the class statistics hold the ids {too_high}, the data set {len(class_names)} classes: '
                        'delete sample_class_stats*.json and samples_with_class.json of the data set to have them '
                        'counted again')


def build_sampler(dataset: SampledDataset, min_pixels: int = 3000, class_temp: float = 0.01,
                  min_crop_ratio: float = 0.5) -> RareClassSampler:
    """The sampler of a source data set; what is missing of its statistics is counted first."""
    if not isinstance(dataset, CustomDataset):
        raise DataError(f'rare class sampling needs one data set with data_root as source, not a '
                        f'{type(dataset).__name__}')
    label_paths = [dataset.label_path(idx) for idx in range(len(dataset))]
    root, label_format = dataset.stats_folder, dataset.label_format
    stats = obtain_stats(root, label_paths, lambda idx: label_format.load_all(label_paths[idx]))
    return RareClassSampler(stats.mapped(label_format.chosen), label_paths, dataset.CLASSES or (), min_pixels,
                            class_temp, min_crop_ratio, root)
