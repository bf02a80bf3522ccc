"""Source images in the style of the target: Fourier domain adaptation."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg.errors import DataError
from mmseg.registry import STYLES
from mmseg.utils.kinds import number

# A style makes a source image, uint8 [3, H, W], look like a target image of the same type and perhaps another size.
Style = Callable[[Tensor, Tensor], Tensor]


@STYLES.register_module()
class FourierAdaptation:
    """Fourier domain adaptation (Yang and Soatto, 2020, section 3.1): the source image gets the amplitudes of the
    target image at the lowest frequencies of each channel, and keeps its phases.

    These are the frequencies up to ``floor(beta * min(height, width))`` periods per image in both directions. With 0
    only the mean colour is the target's. Results are rounded and cut to 0..255.

    Args:
        beta: half the side of the square of exchanged amplitudes, as a share of the image's shorter side; published:
            0.01, 0.05 and 0.09.
    """
    OPTIONS = dict(beta=number(0, 0.5))

    def __init__(self, beta: float = 0.01) -> None:
        self.beta = beta

    def __call__(self, source: Tensor, target: Tensor) -> Tensor:
        """``source`` with the style of ``target``, which is brought to its size: uint8 [3, H, W]."""
        height, width = source.shape[-2:]
        reach = int(self.beta * min(height, width))
        # Frequency -f stands in row height - f. Negative ones of the width follow from the others in real images.
        rows = np.unique(np.arange(-reach, reach + 1) % height)
        low = slice(None), rows, slice(reach + 1)
        spectrum = np.fft.rfft2(source.numpy())
        wanted = np.fft.rfft2(_resized(target.numpy(), (height, width)))[low]
        spectrum[low] = np.abs(wanted) * np.exp(1j * np.angle(spectrum[low]))
        image = np.fft.irfft2(spectrum, (height, width))
        return torch.from_numpy(np.rint(image).clip(0, 255).astype(np.uint8))


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[3, h, w] at another height and width."""
    if image.shape[1:] == size:
        return image
    return np.stack([cv2.resize(channel, size[::-1], interpolation=cv2.INTER_LINEAR) for channel in image])


def restyled(pair: dict[str, Any], style: Style) -> dict[str, Any]:
    """A pair of :class:`~mmseg.datasets.uda_dataset.UDADataset` whose source image has the target's style.

    Padding is left out on both sides. A pair that shows nothing of one image stays as it is.

    Raises:
        DataError: if the images are normalised already.
    """
    for key, metas in (('img', 'img_metas'), ('target_img', 'target_img_metas')):
        if pair[key].dtype != torch.uint8:
            raise DataError(f'source_style changes uint8 images, but {pair[metas].get("filename")} comes as '
                            f'{pair[key].dtype}: let the pipelines of source and target load uint8 and end in '
                            'Normalize, perhaps Pad, DefaultFormatBundle, Collect')
    (height, width), (rows, columns) = (pair[metas]['img_shape'][:2] for metas in ('img_metas', 'target_img_metas'))
    if not height * width * rows * columns:
        return pair
    image = pair['img'].clone()
    image[:, :height, :width] = style(image[:, :height, :width], pair['target_img'][:, :rows, :columns])
    return {**pair, 'img': image}
