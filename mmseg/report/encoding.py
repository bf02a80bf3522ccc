"""Pictures inside of a page: as addresses that hold the file itself."""
from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

QUALITY = 82  # of JPEG
LEVELS = 32  # of confidence: what tells no more than noise would be most of the file


def photograph(image: np.ndarray) -> str:
    """A JPEG of uint8 [H, W, 3] RGB."""
    return _address(Image.fromarray(image), 'jpeg', quality=QUALITY)


def class_map(ids: np.ndarray) -> str:
    """A PNG of uint8 [H, W] whose brightness is the class id: a page colours it, and reads the class of each pixel."""
    return _address(Image.fromarray(ids), 'png', optimize=True)


def confidence_map(values: np.ndarray) -> str:
    """A PNG of uint8 [H, W], rounded to :data:`LEVELS` steps from 0 to 255."""
    steps = np.round(np.arange(256) / 255 * (LEVELS - 1)) / (LEVELS - 1) * 255
    return class_map(steps.round().astype(np.uint8)[values])


def _address(image: Image.Image, kind: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f'data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}'
