"""Images and label maps that belong together but differ in size."""
from __future__ import annotations

import cv2
import numpy as np

from mmseg.datasets.files import read_header
from mmseg.errors import DataError
from mmseg.utils.notices import warn_once

TOLERANCE, FEW = 0.02, 2  # of a side, or pixels if that is more; pairs of GTA differ by a few pixels
Size = tuple[int, int]  # height, width


def is_close(label: Size, image: Size) -> bool:
    """Whether a label map can be brought to the size of its image: no side differs by more than 2 % (or 2 pixels)."""
    return all(abs(a - b) <= max(TOLERANCE * b, FEW) for a, b in zip(label, image))


def mismatch(label_path: str, label: Size, image_path: str, image: Size) -> str:
    """What is wrong with a pair whose sizes differ, and what may be the reason."""
    text = f'label map {label_path} is {label[1]}x{label[0]} but image {image_path} is {image[1]}x{image[0]}'
    if label == image[::-1] != image and read_header(image_path).orientation > 4:
        return (f'{text}: the EXIF orientation tag of the image says that it is turned by 90 degrees, but images are '
                'read as they are stored, and the label map was drawn for the turned one. Turn the image itself '
                '(mogrify -auto-orient)')
    return f'{text}: they do not belong together, or one of them was resized'


def fitted(label: np.ndarray, image: Size, label_path: str, image_path: str) -> np.ndarray:
    """A label map at the size of its image; where they differ little (:func:`is_close`) it is resized, with a warning.

    Args:
        label: uint8 [H, W].
        image: height and width of the image.

    Raises:
        DataError: if they differ by more.
    """
    size = label.shape[:2]
    if size == image:
        return label
    if not is_close(size, image):
        raise DataError(mismatch(label_path, size, image_path, image))
    warn_once(f'label map {label_path} is {size[1]}x{size[0]} and is resized to its image, {image[1]}x{image[0]}')
    return cv2.resize(label, image[::-1], interpolation=cv2.INTER_NEAREST)
