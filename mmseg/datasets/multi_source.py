"""Several labelled sources and one unlabelled target."""
from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmseg.datasets.base import Inner, SampledDataset
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.dataset_wrappers import ConcatDataset
from mmseg.datasets.kinds import PAIRS
from mmseg.datasets.label_format import id_table
from mmseg.datasets.uda_dataset import UDADataset, use_caches
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from mmseg.utils.kinds import NONE, POSITIVE, list_of


@DATASETS.register_module()
class MultiSource(SampledDataset):
    """Pairs as those of :class:`~mmseg.datasets.uda_dataset.UDADataset`, whose source is drawn for each sample.

    Args:
        sources: data sets with labels. Their classes are matched with the target's by name: they may come in another
            order, and some may be missing; a name that the target does not have is refused.
        target: data set whose classes are learned; its labels are not read.
        weights: of each source, a number above 0: it is drawn with its share of their sum. None: its number of images.
        rare_class_sampling: as in UDADataset. Each source has statistics and probabilities of its own.
        sync_crop_size, cache, source_style: as in UDADataset.

    Raises:
        DataError: if a source has a class that the target does not have, there is not a weight for each source, or the
            cache does not fit.
    """
    OPTIONS = dict(PAIRS, weights=list_of(POSITIVE) | NONE)
    INNER = dict(sources=Inner(sampled=True, several=True, own_classes=True), target=Inner(labelled=False))

    def __init__(self, sources: Sequence[SampledDataset], target: SampledDataset,
                 weights: Sequence[float] | None = None, rare_class_sampling: dict[str, Any] | None = None,
                 sync_crop_size: tuple[int, int] | None = None, cache: str | None = None,
                 source_style: dict[str, Any] | None = None) -> None:
        self.CLASSES, self.PALETTE = target.CLASSES, target.PALETTE
        self.sources = [_matched(source, target, f'sources.{i}') for i, source in enumerate(sources)]
        self.target = target.without_labels()
        self.probabilities = _shares([len(source) for source in sources] if weights is None else weights, len(sources))
        if cache is not None:
            use_caches(self, cache)
        self.pairs = ConcatDataset([UDADataset(source, self.target, rare_class_sampling, sync_crop_size,
                                               source_style=source_style) for source in self.sources])

    def deliver_target_labels(self) -> None:
        """See the parent class."""
        for pairs in self.pairs.datasets:
            pairs.deliver_target_labels()

    def leaves(self, name: str = '') -> Iterator[tuple[str, SampledDataset]]:
        """Those of the sources, then those of the target."""
        for i, source in enumerate(self.sources):
            yield from source.leaves(f'sources/{i}')
        yield from self.target.leaves('target')

    def __len__(self) -> int:
        return len(self.pairs)

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Pair ``idx``: those of the first source come first, those of the last one last."""
        return self.pairs.get(idx, rng)

    def sample(self, position: int, rng: np.random.RandomState, seed: int = 0) -> dict[str, Any]:
        """The pair at a running number; target images go through epochs, those of a source are drawn alike."""
        pairs = self.pairs.datasets
        # A single source takes no draw: its samples are those of UDADataset.
        chosen = rng.choice(len(pairs), p=self.probabilities) if len(pairs) > 1 else 0
        return pairs[chosen].sample(position, rng, seed)


def _shares(weights: Sequence[float], count: int) -> np.ndarray:
    """Probabilities of ``count`` sources."""
    if len(weights) != count or not all(isinstance(w, (int, float)) and 0 < w < math.inf for w in weights):
        raise DataError(f'MultiSource: weights={weights!r} have to be {count} numbers above 0, one for each source')
    return np.array(weights) / sum(weights)


def _matched(source: SampledDataset, target: SampledDataset, key: str) -> SampledDataset:
    """A copy of a source whose labels are class indices of the target.

    Args:
        key: how messages call the source.
    """
    other = copy.copy(source)
    other.CLASSES, other.PALETTE = target.CLASSES, target.PALETTE
    if source.CLASSES != target.CLASSES:
        if not isinstance(other, CustomDataset):
            raise DataError(f'MultiSource: the classes of {key} are not those of the target, and a '
                            f'{type(source).__name__} cannot be matched with it as a whole: name its parts in sources')
        table = _class_table(source.CLASSES or (), target.CLASSES or (), key)
        chosen = other.label_format.chosen
        other.label_format = replace(other.label_format, chosen=table if chosen is None else table[chosen])
    return other


def _class_table(names: Sequence[str], wanted: Sequence[str], key: str) -> np.ndarray:
    """uint8 [256]: from index in ``names`` to index in ``wanted``, 255 for indices without a name."""
    unknown = [name for name in names if name not in wanted]
    if unknown or not names:
        raise DataError(f'MultiSource matches classes by name: {key} has {unknown or "no names"}, the target '
                        f'{list(wanted)}; name those of the source in its classes as the target does, and leave out '
                        'what the target does not have')
    return id_table({i: wanted.index(name) for i, name in enumerate(names)})
