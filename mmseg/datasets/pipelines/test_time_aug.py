"""Several scaled and flipped versions of one image."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.datasets.kinds import STEPS
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.pipelines.transforms import DIRECTION, ImageScale, as_scales
from mmseg.registry import PIPELINES
from mmseg.utils.kinds import NONE, POSITIVE, SIZE, list_of


@PIPELINES.register_module()
class MultiScaleFlipAug:
    """Run the same transforms for every scale and flip; each entry of the result is a list over the versions.

    Args:
        transforms: the inner pipeline; its Resize and RandomFlip take scale and flip from here.
        img_scale: (long, short) side in pixels, or several. None: the size of the image times ``img_ratios``.
        img_ratios: factors of ``img_scale``.
        flip: add flipped versions.
        flip_direction: 'horizontal', 'vertical' or both.
    """
    OPTIONS = dict(
        transforms=STEPS, img_scale=SIZE | list_of(SIZE) | NONE, img_ratios=POSITIVE | list_of(POSITIVE) | NONE,
        flip_direction=DIRECTION | list_of(DIRECTION))
    random = False

    def __init__(self, transforms: Sequence[dict[str, Any]], img_scale: ImageScale | Sequence[ImageScale] | None = None,
                 img_ratios: float | Sequence[float] | None = None, flip: bool = False,
                 flip_direction: str | Sequence[str] = 'horizontal') -> None:
        if img_scale is None and img_ratios is None:
            raise ValueError('MultiScaleFlipAug needs img_scale, img_ratios or both')
        self.transforms = Compose(transforms)
        self.ratios = None if img_ratios is None else [img_ratios] if isinstance(img_ratios, (int, float)) \
            else list(img_ratios)
        self.scales = None if img_scale is None else as_scales(img_scale)
        self.flips = [False, True] if flip else [False]
        self.directions = [flip_direction] if isinstance(flip_direction, str) else list(flip_direction)

    def __call__(self, results: dict[str, Any]) -> dict[str, list]:
        """All versions: by key a list with one entry for each."""
        height, width = results['img'].shape[:2]
        scales = self.scales or [(width, height)]
        if self.ratios is not None:
            scales = [(int(w * ratio), int(h * ratio)) for w, h in scales for ratio in self.ratios]
        versions = [
            self.transforms(dict(results, scale=scale, flip=flip, flip_direction=direction))
            for scale in scales for flip in self.flips for direction in self.directions
        ]
        return {key: [version[key] for version in versions] for key in versions[0]}
