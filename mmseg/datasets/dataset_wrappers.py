"""Several datasets as one, and one dataset several times."""
from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from mmseg.datasets.base import Inner, SampledDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ConcatDataset(SampledDataset):
    """The images of several datasets, one after the other.

    Args:
        datasets: data sets with the same classes.
    """
    INNER = dict(datasets=Inner(several=True))

    def __init__(self, datasets: Sequence[SampledDataset]) -> None:
        self.datasets = list(datasets)
        self.ends = list(accumulate(len(d) for d in self.datasets))
        first = self.datasets[0]
        self.CLASSES, self.PALETTE = first.CLASSES, first.PALETTE

    @property
    def img_infos(self) -> list[dict[str, Any]]:  # type: ignore[override]  # of the parts: it cannot be set here
        """File names of all images, as in CustomDataset."""
        return [info for dataset in self.datasets for info in dataset.img_infos]

    def _locate(self, idx: int) -> tuple[SampledDataset, int]:
        if not 0 <= idx < len(self):
            raise IndexError(idx)
        part = bisect.bisect_right(self.ends, idx)
        return self.datasets[part], idx - (self.ends[part - 1] if part else 0)

    @property
    def has_labels(self) -> bool:
        """Whether all parts have labels."""
        return all(dataset.has_labels for dataset in self.datasets)

    def __len__(self) -> int:
        return self.ends[-1]

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Sample ``idx``, counted through all parts."""
        dataset, inner = self._locate(idx)
        return dataset.get(inner, rng)

    def label(self, idx: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Label map of image ``idx``, counted through all parts."""
        dataset, inner = self._locate(idx)
        return dataset.label(inner, size)

    def leaves(self, name: str = '') -> Iterator[tuple[str, SampledDataset]]:
        """Those of all parts, named ``<name>/0``, ``<name>/1``, ..."""
        for i, dataset in enumerate(self.datasets):
            yield from dataset.leaves(f'{name}/{i}')

    def without_labels(self) -> ConcatDataset:
        """The same images, no part reading label maps where its pipeline does not need them."""
        return ConcatDataset([dataset.without_labels() for dataset in self.datasets])

    def with_labels_as(self, key: str) -> ConcatDataset:
        """The same images, with the label maps of all parts."""
        return ConcatDataset([dataset.with_labels_as(key) for dataset in self.datasets])


@DATASETS.register_module()
class RepeatDataset(SampledDataset):
    """A dataset whose epoch is ``times`` as long (for readers of old configs; training counts iterations).

    Args:
        dataset: the data set.
        times: how many times as long.
    """
    INNER = dict(dataset=Inner())

    def __init__(self, dataset: SampledDataset, times: int) -> None:
        self.dataset = dataset
        self.times = times
        self.CLASSES, self.PALETTE = dataset.CLASSES, dataset.PALETTE

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Sample ``idx`` modulo the number of images."""
        return self.dataset.get(idx % len(self.dataset), rng)

    def leaves(self, name: str = '') -> Iterator[tuple[str, SampledDataset]]:
        """Those of the repeated data set, once."""
        return self.dataset.leaves(name)

    def without_labels(self) -> RepeatDataset:
        """As often, not reading label maps where the pipeline does not need them."""
        return RepeatDataset(self.dataset.without_labels(), self.times)

    def with_labels_as(self, key: str) -> RepeatDataset:
        """As often, with label maps."""
        return RepeatDataset(self.dataset.with_labels_as(key), self.times)
