"""Geometric and photometric transforms, with the draws of the original programs in the original order.

Arrays are never changed in place (see :class:`~mmseg.datasets.pipelines.compose.Compose`).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmseg.datasets.label_format import count_ids
from mmseg.registry import PIPELINES
from mmseg.utils.kinds import AMOUNT, COUNT, LABEL, NONE, NUMBER, POSITIVE, SHARE, SIZE, list_of, one_of

ImageScale = tuple[int, int]
_FLIP_CODES = {'horizontal': 1, 'vertical': 0, 'diagonal': -1}
DIRECTION = one_of(_FLIP_CODES)
_SEG_PADDING = {'valid_pseudo_mask': 0}  # padding is not a place to trust; other fields get seg_pad_val


def as_scales(img_scale: ImageScale | Sequence[ImageScale]) -> list[ImageScale]:
    """One (long, short) side or a list of them, as a list of tuples (JSON configs hold lists)."""
    several: Sequence[Any] = img_scale if isinstance(img_scale[0], Sequence) else [img_scale]
    return [(int(scale[0]), int(scale[1])) for scale in several]


def rescaled_size(height: int, width: int, scale: ImageScale) -> tuple[int, int]:
    """(height, width) of the largest image of the same shape that fits into ``scale``, in either orientation."""
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def _paddings(results: dict[str, Any], pad_val: float, seg_pad_val: int) -> dict[str, float]:
    """What comes from outside of the image, for the image and each segmentation field."""
    return {'img': pad_val, **{key: _SEG_PADDING.get(key, seg_pad_val) for key in results.get('seg_fields', [])}}


def resize_fields(results: dict[str, Any], keys: Sequence[str], shape: tuple[int, ...]) -> None:
    """Resize segmentation fields to the size of an image of ``shape`` [H, W, ...]."""
    for key in keys:
        results[key] = cv2.resize(results[key], (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)


def resized(before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Any]:
    """What is known of an image of the shape ``after`` that had the shape ``before``."""
    factors = (after[1] / before[1], after[0] / before[0])
    return dict(scale_factor=np.array(factors * 2, dtype=np.float32), img_shape=after, pad_shape=after)


@PIPELINES.register_module()
class Resize:
    """Resize the image (bilinear) and the segmentation fields (nearest neighbour).

    The scale is ``results['scale']`` if something before set it (MultiScaleFlipAug), else drawn as described here.

    Args:
        img_scale: (long, short) side in pixels, or several; None: the size of the image (with ``ratio_range``).
        multiscale_mode: of several scales, take one ('value') or draw both sides between two ('range').
        ratio_range: (least, largest) factor by which the scale is multiplied.
        keep_ratio: fit into the scale; otherwise resize to exactly (width, height) = scale.
        override_scale: draw a scale even if one is set.
    """
    OPTIONS = dict(
        img_scale=SIZE | list_of(SIZE) | NONE, multiscale_mode=one_of(['value', 'range']),
        ratio_range=list_of(POSITIVE, 2) | NONE)

    def __init__(self, img_scale: ImageScale | Sequence[ImageScale] | None = None, multiscale_mode: str = 'range',
                 ratio_range: tuple[float, float] | None = None, keep_ratio: bool = True,
                 override_scale: bool = False) -> None:
        if multiscale_mode not in ('value', 'range'):
            raise ValueError(f"multiscale_mode is 'value' or 'range', not {multiscale_mode!r}")
        self.scales = None if img_scale is None else as_scales(img_scale)
        self.multiscale_mode = multiscale_mode
        self.ratio_range = ratio_range
        self.keep_ratio = keep_ratio
        self.override_scale = override_scale

    @property
    def random(self) -> bool:
        """Whether a random number is drawn."""
        return self.ratio_range is not None or (self.scales is not None and len(self.scales) > 1)

    def fixed_scale(self, shape: tuple[int, ...]) -> ImageScale:
        """The scale for an image of ``shape`` [H, W, ...] where no random number is drawn."""
        return self.scales[0] if self.scales else (shape[1], shape[0])

    def _scale(self, results: dict[str, Any]) -> ImageScale:
        rng = results.get('rng', np.random)
        scales = self.scales or [self.fixed_scale(results['img'].shape)]
        if self.ratio_range is not None:
            low, high = self.ratio_range
            ratio = rng.random_sample() * (high - low) + low
            return int(scales[0][0] * ratio), int(scales[0][1] * ratio)
        if len(scales) == 1:
            return scales[0]
        if self.multiscale_mode == 'value':
            return scales[rng.randint(len(scales))]
        long_sides, short_sides = [max(s) for s in scales], [min(s) for s in scales]
        long_side = rng.randint(min(long_sides), max(long_sides) + 1)
        return long_side, rng.randint(min(short_sides), max(short_sides) + 1)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize, and note ``scale``, ``scale_factor`` (x, y, x, y), ``img_shape`` and ``pad_shape``."""
        if 'scale' not in results or self.override_scale:
            results['scale'] = self._scale(results)
        image = results['img']
        height, width = image.shape[:2]
        new_height, new_width = rescaled_size(height, width, results['scale']) if self.keep_ratio \
            else results['scale'][::-1]
        results['img'] = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
        resize_fields(results, results.get('seg_fields', []), results['img'].shape)
        results.update(resized(image.shape, results['img'].shape))
        return results


@PIPELINES.register_module()
class RandomFlip:
    """Flip image and segmentation fields, unless ``results['flip']`` is already decided.

    Args:
        prob: probability of a flip.
        direction: 'horizontal', 'vertical' or 'diagonal' (both).
    """
    OPTIONS = dict(prob=SHARE | NONE, direction=DIRECTION)
    random = True

    def __init__(self, prob: float | None = None, direction: str = 'horizontal') -> None:
        if prob is not None and not 0 <= prob <= 1:
            raise ValueError(f'RandomFlip: prob is a probability, not {prob}')
        if direction not in _FLIP_CODES:
            raise ValueError(f'RandomFlip: direction is one of {list(_FLIP_CODES)}, not {direction!r}')
        self.prob = prob
        self.direction = direction

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip or not, and note ``flip`` and ``flip_direction``."""
        if 'flip' not in results:
            results['flip'] = bool(results.get('rng', np.random).rand() < (self.prob or 0))
        results.setdefault('flip_direction', self.direction)
        if results['flip']:
            code = _FLIP_CODES[results['flip_direction']]
            for key in ('img', *results.get('seg_fields', [])):
                results[key] = cv2.flip(results[key], code)
        return results


@PIPELINES.register_module()
class RandomRotate:
    """Rotate clockwise about the centre, the image bilinearly, segmentation fields by nearest neighbour.

    Args:
        prob: probability of a rotation.
        degree: (least, largest) angle; a number d means (-d, d).
        pad_val: grey level of what comes in from outside.
        seg_pad_val: label of it.
    """
    OPTIONS = dict(prob=SHARE, degree=AMOUNT | list_of(NUMBER, 2), seg_pad_val=LABEL)
    random = True

    def __init__(self, prob: float, degree: float | tuple[float, float], pad_val: float = 0,
                 seg_pad_val: int = 255) -> None:
        self.prob = prob
        self.degree = (-degree, degree) if isinstance(degree, (int, float)) else tuple(degree)
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Rotate or not; the size stays."""
        rng = results.get('rng', np.random)
        rotate = rng.rand() < self.prob
        degree = rng.uniform(*self.degree)
        if rotate:
            height, width = results['img'].shape[:2]
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degree, 1)
            paddings = _paddings(results, self.pad_val, self.seg_pad_val)
            for key, value in paddings.items():
                how = cv2.INTER_LINEAR if key == 'img' else cv2.INTER_NEAREST
                results[key] = cv2.warpAffine(results[key], matrix, (width, height), flags=how,
                                              borderValue=(value,) * 4)
        return results


@PIPELINES.register_module()
class SegRescale:
    """Resize the segmentation fields alone.

    Args:
        scale_factor: of height and width.
    """
    OPTIONS = dict(scale_factor=POSITIVE)
    random = False

    def __init__(self, scale_factor: float = 1) -> None:
        self.scale_factor = scale_factor

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize the fields, by nearest neighbour."""
        for key in results.get('seg_fields', []):
            height, width = (int(side * self.scale_factor + 0.5) for side in results[key].shape)
            results[key] = cv2.resize(results[key], (width, height), interpolation=cv2.INTER_NEAREST)
        return results


@PIPELINES.register_module()
class RandomCrop:
    """Crop a random box; smaller images stay as they are.

    Args:
        crop_size: (height, width).
        cat_max_ratio: below 1, up to ten further boxes are tried until the label map in the box has more than one
            class and none above this share (ignored pixels do not count); the last box is used if none does.
        ignore_index: label id that does not count.
    """
    OPTIONS = dict(crop_size=SIZE, cat_max_ratio=SHARE, ignore_index=LABEL)
    random = True

    def __init__(self, crop_size: tuple[int, int], cat_max_ratio: float = 1.0, ignore_index: int = 255) -> None:
        self.crop_size = (int(crop_size[0]), int(crop_size[1]))
        if min(self.crop_size) <= 0:
            raise ValueError(f'RandomCrop: crop_size is (height, width) in pixels, not {crop_size}')
        self.cat_max_ratio = cat_max_ratio
        self.ignore_index = ignore_index

    def draw_box(self, size: tuple[int, int], rng: np.random.RandomState) -> tuple[slice, slice]:
        """Rows and columns of a box in an image of ``size`` (height, width)."""
        top = rng.randint(0, max(size[0] - self.crop_size[0], 0) + 1)
        left = rng.randint(0, max(size[1] - self.crop_size[1], 0) + 1)
        return slice(top, top + self.crop_size[0]), slice(left, left + self.crop_size[1])

    def _is_varied(self, label: np.ndarray) -> bool:
        counts = count_ids(label)
        counts[self.ignore_index] = 0
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the image and all fields to one box, and note ``img_shape`` and ``pad_shape``."""
        rng = results.get('rng', np.random)
        size = results['img'].shape[:2]
        box = self.draw_box(size, rng)
        if self.cat_max_ratio < 1:
            for _ in range(10):
                if self._is_varied(results['gt_semantic_seg'][box]):
                    break
                box = self.draw_box(size, rng)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = results[key][box]
        results['img_shape'] = results['pad_shape'] = results['img'].shape
        return results


@PIPELINES.register_module()
class Pad:
    """Pad at the bottom and on the right; ``pad_shape`` tells the new size, ``img_shape`` stays.

    Args:
        size: (height, width) to reach.
        size_divisor: in place of ``size``, a number whose multiple the sides shall be.
        pad_val: value of the image's new pixels.
        seg_pad_val: label of the new pixels (``valid_pseudo_mask`` gets 0: they are not to be trusted).
    """
    OPTIONS = dict(size=SIZE | NONE, size_divisor=COUNT | NONE, seg_pad_val=LABEL)
    random = False

    def __init__(self, size: tuple[int, int] | None = None, size_divisor: int | None = None, pad_val: float = 0,
                 seg_pad_val: int = 255) -> None:
        if (size is None) == (size_divisor is None):
            raise ValueError('Pad needs either size or size_divisor')
        self.size = size
        self.size_divisor = size_divisor
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad the image and all fields, and note ``pad_shape``."""
        height, width = results['img'].shape[:2]
        goal = self.size if self.size is not None else [-(-s // self.size_divisor) * self.size_divisor
                                                        for s in (height, width)]
        bottom, right = max(goal[0] - height, 0), max(goal[1] - width, 0)
        if bottom or right:
            for key, value in _paddings(results, self.pad_val, self.seg_pad_val).items():
                results[key] = cv2.copyMakeBorder(results[key], 0, bottom, 0, right, cv2.BORDER_CONSTANT,
                                                  value=(value,) * 4)
        results['pad_shape'] = results['img'].shape
        return results


@PIPELINES.register_module()
class Normalize:
    """float32 ``(image - mean) / std`` per channel.

    Args:
        mean: of each channel, in the order of the result, range 0 to 255.
        std: its standard deviation.
        to_rgb: swap the channels from blue, green, red to red, green, blue first.

    Raises:
        ValueError: if they are not of equally many channels.
    """
    OPTIONS = dict(mean=list_of(NUMBER), std=list_of(POSITIVE))  # one per channel: grey images have one
    random = False

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        if len(mean) != len(std) or to_rgb and len(mean) != 3:
            raise ValueError(f'Normalize: mean={list(mean)} and std={list(std)} need one number per channel each, '
                             'three with to_rgb')
        self.mean = np.array(mean, dtype=np.float32)
        self.std = np.array(std, dtype=np.float32)
        self.to_rgb = to_rgb

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise ``img``, and note ``img_norm_cfg``."""
        image = results['img'].astype(np.float32)
        if self.to_rgb:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        mean = self.mean.astype(np.float64).reshape(1, -1)
        image = cv2.subtract(image, mean)
        results['img'] = cv2.multiply(image, 1 / self.std.astype(np.float64).reshape(1, -1))
        results['img_norm_cfg'] = dict(mean=self.mean, std=self.std, to_rgb=self.to_rgb)
        return results


class DeferredNormalize(Normalize):
    """Normalize for the end of a training pipeline: uint8 images keep their values, the device computes the rest.

    ``img_norm_cfg`` tells it how. Images that are not uint8 (a transform made floats of them) are normalised here.
    """

    @classmethod
    def of(cls, normalize: Normalize) -> DeferredNormalize:
        """With the settings of ``normalize``."""
        return cls(normalize.mean.tolist(), normalize.std.tolist(), normalize.to_rgb)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Only swap the channels of a uint8 ``img``, and note ``img_norm_cfg`` for the device."""
        if results['img'].dtype != np.uint8:
            return super().__call__(results)
        if self.to_rgb:
            results['img'] = cv2.cvtColor(results['img'], cv2.COLOR_BGR2RGB)
        results['img_norm_cfg'] = dict(mean=self.mean, std=self.std, to_rgb=self.to_rgb)
        return results
