"""Strong augmentation of the mixed (and, in MIC, masked) images: colour jiggle and Gaussian blur, on the device.

The colour jiggle is the one that the papers trained with: additive brightness, plain contrast, saturation and hue in
HSV space. Newer libraries call another transform "colour jitter"; it is not the same augmentation.
"""
from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.utils.draws import Draws
from mmseg.utils.transfer import to_device

BLUR_SIGMA = (0.15, 1.15)
# Beyond 9 sigma a tap is below 1e-17 of the centre: the published 10 %-of-the-image kernel holds nothing there.
TAPS_PER_SIGMA = 9


def rgb_to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """RGB [B, 3, H, W] in [0, 1] to hue (radians, [0, 2 pi)), saturation and value, each [B, H, W]."""
    red, green, blue = img.unbind(1)
    value, first_max = img.max(dim=1)
    delta = value - img.amin(dim=1)
    saturation = delta / (value + 1e-6)
    safe = torch.where(delta == 0, torch.ones_like(delta), delta)
    sector = torch.where(first_max == 0, (green - blue) / safe,
                         torch.where(first_max == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe))
    return (sector / 6 % 1) * (2 * math.pi), saturation, value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Inverse of :func:`rgb_to_hsv`; hue may lie outside [0, 2 pi)."""
    # f(n) = v - v s max(0, min(k, 4 - k, 1)) with k = (n + h / 60 deg) mod 6, for n = 5, 3, 1
    position = hue * (3 / math.pi)
    channels = []
    for offset in (5, 3, 1):
        k = (position + offset) % 6
        channels.append(value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


def color_jiggle(img: Tensor, factors: Tensor, order: Iterable[int]) -> Tensor:
    """Apply the four colour operations in the given order.

    Args:
        img: RGB [B, 3, H, W] in [0, 1].
        factors: [B, 4]: brightness, contrast and saturation factors around 1, hue shift as a fraction of a full turn.
        order: permutation of 0 brightness, 1 contrast, 2 saturation, 3 hue.
    """
    brightness, contrast, saturation, hue = factors.view(-1, 4, 1, 1, 1).unbind(1)
    for operation in order:
        if operation == 0:
            img = (img + (brightness - 1)).clamp(0, 1)
        elif operation == 1:
            img = (img * contrast).clamp(0, 1)
        else:
            h, s, v = rgb_to_hsv(img)
            if operation == 2:
                s = (s * saturation.squeeze(1)).clamp(0, 1)
            else:
                h = h + hue.squeeze(1) * (2 * math.pi)
            img = hsv_to_rgb(h, s, v)
    return img


def blur_kernel_size(side: int) -> int:
    """Published kernel size in pixels for an image side: about 10 %, always odd."""
    tenth = math.ceil(0.1 * side)
    return math.floor(tenth - 0.5 + tenth % 2)


def blur_taps(sigma: np.ndarray, side: int) -> np.ndarray:
    """Normalised 1-D Gaussian taps, float32 [B, 2 r + 1], one row per sigma (pixels)."""
    radius = min(blur_kernel_size(side) // 2, math.ceil(TAPS_PER_SIGMA * BLUR_SIGMA[1]))
    positions = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (positions / sigma[:, None])**2)
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


def gaussian_blur(img: Tensor, taps_y: Tensor, taps_x: Tensor) -> Tensor:
    """Separable Gaussian blur with reflected borders, a kernel per image.

    Args:
        img: [B, C, H, W].
        taps_y, taps_x: [B, K], [B, L], odd lengths.
    """
    batch, channels, height, width = img.shape
    planes = img.reshape(1, batch * channels, height, width)
    for taps, shape, pad in ((taps_y, (-1, 1), (0, 0, 1, 1)), (taps_x, (1, -1), (1, 1, 0, 0))):
        radius = taps.shape[1] // 2
        padded = F.pad(planes, [radius * side for side in pad], mode='reflect')
        kernel = taps.repeat_interleave(channels, dim=0).view(batch * channels, 1, *shape)
        planes = F.conv2d(padded, kernel, groups=batch * channels)
    return planes.view_as(img)


def jitter_ranges(strength: float | dict) -> np.ndarray:
    """[4, 2] lower and upper bounds of the brightness, contrast, saturation and hue factors.

    Args:
        strength: s for all four (factors in [1 - s, 1 + s], hue in [-s, s] turns), or a dict with some of the keys
            brightness, contrast, saturation, hue (a missing one is not changed).

    Raises:
        ValueError: for an unknown key in the dict.
    """
    names = ('brightness', 'contrast', 'saturation', 'hue')
    if not isinstance(strength, dict):
        strength = dict.fromkeys(names, strength)
    unknown = sorted(set(strength) - set(names))
    if unknown:
        raise ValueError(f'color_jitter_strength: unknown entries {unknown}; known are {list(names)}')
    spread = np.array([float(strength.get(name, 0)) for name in names])
    centre = np.array([1., 1., 1., 0.])
    lower, upper = np.array([0, 0, 0, -0.5]), np.array([np.inf, np.inf, np.inf, 0.5])
    return np.stack([np.maximum(centre - spread, lower), np.minimum(centre + spread, upper)], axis=1)


class StrongAugment:
    """Random colour jiggle and blur of normalised images.

    Both are decided once for the batch; factors and sigma are drawn for every image.

    Args:
        strength: see :func:`jitter_ranges`.
        probability: p of the papers: the jiggle is applied when a uniform draw is *greater* than p.
        blur: whether blur may be drawn (then applied in half of the iterations).
    """

    def __init__(self, strength: float | dict, probability: float, blur: bool) -> None:
        self.ranges, self.probability, self.blur = jitter_ranges(strength), probability, blur

    def __call__(self, img: Tensor, mean: Tensor, std: Tensor, draws: Draws, name: str) -> Tensor:
        """Augment ``img``.

        Args:
            img: normalised [B, 3, H, W]; left unchanged.
            mean, std: [1, 3, 1, 1] in grey levels (0..255).
            draws: draws of this iteration.
            name: name of the draw, so that two users of one iteration get their own.
        """
        rng = draws.numpy(f'{name} strong augmentation')
        jitter, blur = rng.random_sample(2)
        batch, _, height, width = img.shape
        lower, upper = self.ranges.T
        factors = rng.uniform(lower, upper, (batch, 4)).astype(np.float32)
        orders = [rng.permutation(4) for _ in range(batch)]
        sigma = rng.uniform(*BLUR_SIGMA, batch)
        if jitter > self.probability:
            changes = to_device(factors, img.device)
            plain = (img * std + mean) / 255
            plain = torch.cat([color_jiggle(plain[i:i + 1], changes[i:i + 1], orders[i]) for i in range(batch)])
            img = (plain * 255 - mean) / std
        if self.blur and blur > 0.5:
            taps_y, taps_x = (to_device(blur_taps(sigma, side), img.device) for side in (height, width))
            img = gaussian_blur(img, taps_y, taps_x)
        return img
