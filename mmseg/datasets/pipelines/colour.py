"""Photometric transforms of uint8 images in the order blue, green, red."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from mmseg.registry import PIPELINES
from mmseg.utils.kinds import COUNT, NONE, POSITIVE, SIZE, whole

_LEVELS = np.arange(256, dtype=np.float32)


def level_table(alpha: float = 1.0, beta: float = 0.0) -> np.ndarray:
    """uint8 [256]: ``alpha * level + beta`` in float32, clipped to 0..255 and truncated."""
    return np.clip(_LEVELS * np.float32(alpha) + np.float32(beta), 0, 255).astype(np.uint8)


def convert(image: np.ndarray, alpha: float = 1.0, beta: float = 0.0) -> np.ndarray:
    """``alpha * image + beta`` of a uint8 image; 256 values are computed, the rest is looked up."""
    return cv2.LUT(image, level_table(alpha, beta))


def _in_hsv(image: np.ndarray, channel: int, table: np.ndarray) -> np.ndarray:
    planes = list(cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV)))
    planes[channel] = cv2.LUT(planes[channel], table)
    return cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2BGR)


def change_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the saturation (HSV) of a uint8 image."""
    return _in_hsv(image, 1, level_table(alpha=factor))


def change_hue(image: np.ndarray, degrees: int) -> np.ndarray:
    """Add to the hue of a uint8 image; the circle has 180 steps."""
    return _in_hsv(image, 0, ((np.arange(256) + degrees) % 180).astype(np.uint8))


@PIPELINES.register_module()
class PhotoMetricDistortion:
    """Brightness, contrast, saturation and hue, each with probability 1/2; contrast second or last, at random.

    Args:
        brightness_delta: largest change, in grey levels.
        contrast_range: least and largest factor.
        saturation_range: least and largest factor.
        hue_delta: largest change, of a circle of 180.
    """
    OPTIONS = dict(hue_delta=whole(1, 180))
    random = True

    def __init__(self, brightness_delta: int = 32, contrast_range: tuple[float, float] = (0.5, 1.5),
                 saturation_range: tuple[float, float] = (0.5, 1.5), hue_delta: int = 18) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.hue_delta = hue_delta

    def _contrast(self, image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        return convert(image, alpha=rng.uniform(*self.contrast_range)) if rng.randint(2) else image

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the colours of ``img``."""
        rng = results.get('rng', np.random)
        image = results['img'].astype(np.uint8, copy=False)
        if rng.randint(2):
            image = convert(image, beta=rng.uniform(-self.brightness_delta, self.brightness_delta))
        contrast_first = rng.randint(2) == 1
        if contrast_first:
            image = self._contrast(image, rng)
        if rng.randint(2):
            image = change_saturation(image, rng.uniform(*self.saturation_range))
        if rng.randint(2):
            image = change_hue(image, rng.randint(-self.hue_delta, self.hue_delta))
        if not contrast_first:
            image = self._contrast(image, rng)
        results['img'] = image
        return results


@PIPELINES.register_module()
class AdjustGamma:
    """Grey level ``255 * (level / 255) ** (1 / gamma)``.

    Args:
        gamma: above 1 makes the image brighter.
    """
    OPTIONS = dict(gamma=POSITIVE)
    random = False

    def __init__(self, gamma: float = 1.0) -> None:
        if gamma <= 0:
            raise ValueError(f'AdjustGamma: gamma is positive, not {gamma}')
        self.table = ((_LEVELS.astype(np.float64) / 255) ** (1 / gamma) * 255).astype(np.uint8)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Look the values of ``img`` (uint8) up in the curve."""
        results['img'] = cv2.LUT(results['img'], self.table)
        return results


@PIPELINES.register_module()
class CLAHE:
    """Contrast-limited adaptive histogram equalisation of every channel.

    Args:
        clip_limit: how often a grey level may occur in a tile, as a multiple of the mean.
        tile_grid_size: tiles per (row, column).
    """
    OPTIONS = dict(clip_limit=POSITIVE, tile_grid_size=SIZE)
    random = False

    def __init__(self, clip_limit: float = 40.0, tile_grid_size: tuple[int, int] = (8, 8)) -> None:
        self.clip_limit = clip_limit
        self.tile_grid_size = tuple(tile_grid_size)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Equalise the channels of ``img``."""
        equaliser = cv2.createCLAHE(self.clip_limit, self.tile_grid_size)
        results['img'] = cv2.merge([equaliser.apply(plane) for plane in cv2.split(results['img'])])
        return results


@PIPELINES.register_module()
class RGB2Gray:
    """A grey image with several equal channels.

    Args:
        out_channels: number of channels; None keeps the number.
        weights: of the input channels.
    """
    OPTIONS = dict(out_channels=COUNT | NONE)
    random = False

    def __init__(self, out_channels: int | None = None,
                 weights: tuple[float, float, float] = (0.299, 0.587, 0.114)) -> None:
        self.out_channels = out_channels
        self.weights = np.array(weights, dtype=np.float32)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img`` by its grey values, in its own type."""
        image = results['img']
        grey = (image * self.weights).sum(2, keepdims=True).astype(image.dtype)
        results['img'] = np.repeat(grey, self.out_channels or image.shape[2], axis=2)
        results['img_shape'] = results['pad_shape'] = results['img'].shape
        return results


@PIPELINES.register_module()
class Rerange:
    """Stretch the image to the range ``min_value`` to ``max_value`` (float32).

    Args:
        min_value: grey level that the darkest becomes.
        max_value: grey level that the brightest becomes.
    """
    random = False

    def __init__(self, min_value: float = 0, max_value: float = 255) -> None:
        if not min_value < max_value:
            raise ValueError(f'Rerange: min_value {min_value} is not below max_value {max_value}')
        self.min_value = min_value
        self.max_value = max_value

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Stretch ``img``, all channels together."""
        image = results['img'].astype(np.float32)
        results['img'] = cv2.normalize(  # type: ignore[call-overload]  # OpenCV's stub does not know that dst may be None
            image, None, self.min_value, self.max_value, cv2.NORM_MINMAX)
        return results
