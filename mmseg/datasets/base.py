"""What training and evaluation ask of every dataset."""
from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from mmseg.errors import DataError


@lru_cache(maxsize=8)
def epoch_permutation(name: str, length: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: a permutation of ``range(length)`` that depends on the arguments only."""
    sequence = np.random.SeedSequence([seed, epoch, zlib.crc32(name.encode())])
    return np.random.RandomState(sequence.generate_state(4)).permutation(length)


def shuffled_index(name: str, length: int, position: int, seed: int) -> int:
    """The index at the running number ``position``: every epoch of ``length`` positions visits each index once."""
    epoch, place = divmod(position, length)
    return int(epoch_permutation(name, length, seed, epoch)[place])


class Inner(NamedTuple):
    """What a wrapper does with a data set that it is made of.

    Attributes:
        labelled: it reads the labels.
        sampled: rare class sampling draws from it.
        several: it takes a list of data sets; else a list is concatenated.
        own_classes: classes are matched by name, so that they may be others than the wrapper's.
    """
    labelled: bool = True
    sampled: bool = False
    several: bool = False
    own_classes: bool = False


class SampledDataset(Dataset):
    """A dataset whose samples are drawn with a generator that is handed in.

    Attributes:
        INNER: of a wrapper, the arguments that are data sets, which its config section gives as sections.
        CLASSES: names of the classes, or None.
        PALETTE: one (red, green, blue) per class, or None.
        img_infos: file names of a data set on disk, see :class:`~mmseg.datasets.custom.CustomDataset`.
    """
    INNER: dict[str, Inner] = {}
    CLASSES: tuple[str, ...] | None = None
    PALETTE: list[list[int]] | None = None
    img_infos: list[dict[str, Any]]

    @property
    def has_labels(self) -> bool:
        """Whether :meth:`label` can be asked."""
        return False

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Sample ``idx``, its augmentation drawn from ``rng``."""

    def prepare(self, idx: int) -> dict[str, Any]:
        """What :meth:`get` does of sample ``idx`` before anything is drawn, for those who finish it several times."""
        raise NotImplementedError

    def finish(self, prepared: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
        """The rest of :meth:`get`, on what :meth:`prepare` returned, which stays as it is."""
        raise NotImplementedError

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """Sample ``idx``, its augmentation drawn from a generator that numpy's global stream seeds."""
        return self.get(idx, np.random.RandomState(np.random.randint(2**31)))

    def sample(self, position: int, rng: np.random.RandomState, seed: int = 0) -> dict[str, Any]:
        """The sample at a running number of training.

        Args:
            position: >= 0, unbounded; every ``len(self)`` positions are one epoch in an order of its own.
            rng: generator of the augmentation.
            seed: of the order; one seed per run.
        """
        return self.get(shuffled_index('all', len(self), position, seed), rng)

    def label(self, idx: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Label map of image ``idx``: uint8 [H, W], class indices, and 255 where nothing is known.

        Args:
            size: height and width of the image, which a label map with a few pixels more or less is brought to; None
                leaves it as it is stored.
        """
        raise NotImplementedError

    def leaves(self, name: str = '') -> Iterator[tuple[str, SampledDataset]]:
        """The data sets that this one is made of, with names such as ``source`` or ``target/1``."""
        yield name, self

    def use_cache(self, folder: str) -> None:
        """Read samples from a cache; a data set that knows how says so by its own method."""
        raise DataError(f'{type(self).__name__} cannot be cached ({folder})')

    def without_labels(self) -> SampledDataset:
        """The same dataset, not reading label maps where the pipeline does not need them; itself if it cannot."""
        return self

    def with_labels_as(self, key: str) -> SampledDataset:
        """The same dataset, whose samples hold the label map under ``key``, too: resized, cropped and flipped with the
        image, without another effect on the sample.

        Raises:
            DataError: if images have no label map, or it cannot be delivered.
        """
        raise DataError(f'a {type(self).__name__} does not deliver labels beside its samples')

    def deliver_target_labels(self) -> None:
        """Let samples of pairs hold the target's label map, too, for those who measure; nothing is trained on it.

        Raises:
            DataError: if there are no target images, or not all of them have a label map.
        """
        raise DataError(f'a {type(self).__name__} has no target images')
