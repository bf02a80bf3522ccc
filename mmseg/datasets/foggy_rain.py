"""Cityscapes with synthetic fog and rain: several variants of each frame, which share the labels of Cityscapes."""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from mmseg.utils.kinds import COUNT, NONE

VARIANT = re.compile(r'(?P<frame>.+)_leftImg8bit_(?P<variant>[^/]+)')
FOG = re.compile(r'foggy_beta_(?P<beta>[\d.]+)')


@DATASETS.register_module()
class CityscapesFoggyRainDataset(CityscapesDataset):
    """Images ``<frame>_leftImg8bit_<variant>.png``, which have the labels ``<frame>_gtFine_labelTrainIds.png``.

    Args:
        foggy_betas: attenuations to use of images in fog (``foggy_beta_0.01``, ...); None for all. Other images stay.
        max_variants_per_frame: so many variants of a frame at most, evenly chosen from its sorted ones, so that frames
            with many do not dominate; None for all.
        kwargs: see :class:`~mmseg.datasets.cityscapes.CityscapesDataset`.

    Raises:
        DataError: if an image is not named like this, or none has one of the attenuations.
        ValueError: if ``max_variants_per_frame`` is less than 1.
    """
    OPTIONS = dict(max_variants_per_frame=COUNT | NONE)
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.png', '_gtFine_labelTrainIds.png'

    def __init__(self, pipeline: Sequence[dict[str, Any]], foggy_betas: Sequence[float] | None = None,
                 max_variants_per_frame: int | None = None, **kwargs: Any) -> None:
        if max_variants_per_frame is not None and max_variants_per_frame < 1:
            raise ValueError(f'max_variants_per_frame={max_variants_per_frame}: use at least 1, or None for all')
        self.foggy_betas = None if foggy_betas is None else {float(beta) for beta in foggy_betas}
        self.max_variants_per_frame = max_variants_per_frame
        super().__init__(pipeline, **kwargs)

    def _parts(self, name: str) -> re.Match:
        match = VARIANT.fullmatch(name)
        if not match:
            raise DataError(f'{type(self).__name__}: {self.img_dir}/{name}{self.img_suffix} is not named '
                            '<frame>_leftImg8bit_<variant>.png (clear images belong to CityscapesDataset)')
        return match

    def _wanted(self, variant: str) -> bool:
        fog = FOG.fullmatch(variant)
        return self.foggy_betas is None or not fog or float(fog['beta']) in self.foggy_betas

    def find_names(self) -> list[str]:
        """Those of the wanted attenuations, at most ``max_variants_per_frame`` of each frame."""
        found = super().find_names()
        frames: dict[str, list[str]] = defaultdict(list)
        for name in found:
            match = self._parts(name)
            if self._wanted(match['variant']):
                frames[match['frame']].append(name)
        if found and not frames:
            raise DataError(f'{type(self).__name__}: no image in {self.img_dir} has one of '
                            f'foggy_betas={sorted(self.foggy_betas or ())}')
        return [names[i] for names in frames.values() for i in self._chosen(len(names))]

    def _chosen(self, count: int) -> np.ndarray:
        """Positions of the variants to use, of ``count`` sorted ones."""
        kept = min(count, self.max_variants_per_frame or count)
        return np.linspace(0, count - 1, kept).round().astype(int)

    def label_name(self, name: str) -> str | None:
        """That of the frame, which its variants share."""
        return super().label_name(self._parts(name)['frame'])
