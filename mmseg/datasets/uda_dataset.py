"""Pairs of a labelled source image and an unlabelled target image."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmseg.datasets.base import Inner, SampledDataset, shuffled_index
from mmseg.datasets.construction import build
from mmseg.datasets.fourier_adaptation import Style, restyled
from mmseg.datasets.kinds import PAIRS
from mmseg.datasets.rare_class_sampling import RareClassSampler, build_sampler
from mmseg.errors import DataError
from mmseg.registry import DATASETS, STYLES
from mmseg.utils.labels import TARGET_LABEL

MAX_REDRAWS = 10  # of a crop that shows too little of the drawn class


def use_caches(dataset: SampledDataset, folder: str) -> None:
    """Have the data sets that one is made of read their samples from caches, each from a folder of its name."""
    for name, part in dataset.leaves():
        part.use_cache(os.path.join(folder, name))


@DATASETS.register_module()
class UDADataset(SampledDataset):
    """Source and target; a sample holds ``img``, ``gt_semantic_seg``, ``img_metas`` of the source and ``target_img``,
    ``target_img_metas`` and perhaps ``valid_pseudo_mask`` of the target.

    Target labels are not read, unless the crops of the target's pipeline depend on them or meters (``--meters``) want
    to compare pseudo labels with them.

    Args:
        source: data set with labels.
        target: data set with the same classes.
        rare_class_sampling: ``dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)``: draw a class with
            probability softmax((1 - frequency) / class_temp), then a source image with more than min_pixels of it, then
            (up to ten times) a crop with more than min_pixels * min_crop_ratio of it. ``class_temp=float('inf')`` draws
            all classes alike. The target image is drawn uniformly.
        sync_crop_size: (height, width) of a last crop at the same random place in source and target.
        cache: folder that tools/cache_dataset.py filled: equal samples without decoding. Refused if it was made of
            other file names, labels or scales; samples that are damaged or whose files have changed are decoded, with a
            warning.
        source_style: ``dict(type='FourierAdaptation', beta=0.01)``: a source image gets the style of the target image
            beside it.

    Raises:
        DataError: if source and target differ in classes or palette, or the cache does not fit.
    """
    OPTIONS = PAIRS
    INNER = dict(source=Inner(sampled=True), target=Inner(labelled=False))

    def __init__(self, source: SampledDataset, target: SampledDataset,
                 rare_class_sampling: dict[str, Any] | None = None,
                 sync_crop_size: tuple[int, int] | None = None, cache: str | None = None,
                 source_style: dict[str, Any] | None = None) -> None:
        for name in ('CLASSES', 'PALETTE'):
            if getattr(source, name) != getattr(target, name):
                raise DataError(f'source and target differ in {name}: {getattr(source, name)} and '
                                f'{getattr(target, name)}')
        self.source, self.target = source, target.without_labels()
        self.CLASSES, self.PALETTE = source.CLASSES, source.PALETTE
        self.sync_crop_size = sync_crop_size
        self.style: Style | None = None if source_style is None else build(STYLES, source_style, 'source style')
        if cache is not None:
            use_caches(self, cache)
        self.sampler: RareClassSampler | None = None
        if rare_class_sampling is not None:
            self.sampler = build_sampler(source, **rare_class_sampling)

    def deliver_target_labels(self) -> None:
        """See the parent class; they stand in ``target_gt_for_meters``, uint8 [1, H, W]."""
        self.target = self.target.with_labels_as(TARGET_LABEL)

    def leaves(self, name: str = '') -> Iterator[tuple[str, SampledDataset]]:
        """Those of the source, then those of the target."""
        yield from self.source.leaves('source')
        yield from self.target.leaves('target')

    def __len__(self) -> int:
        return len(self.source) * len(self.target)

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Pair ``idx``: source ``idx // len(target)`` and target ``idx % len(target)``; drawn with a sampler."""
        if self.sampler is not None:
            return self._draw(self.sampler, rng)
        source_idx, target_idx = divmod(idx, len(self.target))
        return self._join(self.source.get(source_idx, rng), self.target.get(target_idx, rng), rng)

    def sample(self, position: int, rng: np.random.RandomState, seed: int = 0) -> dict[str, Any]:
        """The pair at a running number: source and target each go through epochs of their own length and order."""
        if self.sampler is not None:
            return self._draw(self.sampler, rng)
        source_idx = shuffled_index('source', len(self.source), position, seed)
        target_idx = shuffled_index('target', len(self.target), position, seed)
        return self._join(self.source.get(source_idx, rng), self.target.get(target_idx, rng), rng)

    def _draw(self, sampler: RareClassSampler, rng: np.random.RandomState) -> dict[str, Any]:
        """A rare-class source sample and a uniformly drawn target."""
        chosen, source_idx = sampler.draw(rng)
        wanted = sampler.min_crop_pixels
        prepared = self.source.prepare(source_idx)
        source = self.source.finish(prepared, rng)
        for _ in range(MAX_REDRAWS if wanted > 0 else 0):
            if (source['gt_semantic_seg'] == chosen).sum() > wanted:
                break
            source = self.source.finish(prepared, rng)
        target_idx = int(rng.choice(len(self.target)))
        return self._join(source, self.target.get(target_idx, rng), rng)

    def _join(self, source: dict[str, Any], target: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
        pair = {**source, 'target_img': target['img'], 'target_img_metas': target['img_metas']}
        pair.update((key, target[key]) for key in ('valid_pseudo_mask', TARGET_LABEL) if key in target)
        if self.sync_crop_size is not None:
            pair = _crop(pair, self.sync_crop_size, rng)
        return pair if self.style is None else restyled(pair, self.style)


def _crop(pair: dict[str, Any], size: tuple[int, int], rng: np.random.RandomState) -> dict[str, Any]:
    """Crop all maps of a pair at one random place; the shapes in the metas say what is left of the images."""
    height, width = size
    top = rng.randint(0, max(pair['img'].shape[-2] - height, 0) + 1)
    left = rng.randint(0, max(pair['img'].shape[-1] - width, 0) + 1)
    for key, value in pair.items():
        if key.endswith('img_metas'):
            shapes = {}
            for name in ('img_shape', 'pad_shape'):
                h, w, *channels = value[name]
                shapes[name] = (min(max(h - top, 0), height), min(max(w - left, 0), width), *channels)
            pair[key] = {**value, **shapes}
        else:
            pair[key] = value[..., top:top + height, left:left + width]
    return pair
