"""Pictures of predictions: palette PNGs of ids, coloured maps, blends with the image."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg.visualization.palettes import Palette, colour_table, colourise


def write_palette_png(path: str | os.PathLike, ids: np.ndarray, palette: Palette) -> None:
    """Write ids as an 8-bit PNG of mode P: the pixel values are the ids, the palette makes it look coloured.

    Args:
        path: file to write; its folder is made.
        ids: integer [H, W], 0..255.
        palette: RGB colours 0..255.
    """
    image = Image.fromarray(np.asarray(ids).astype(np.uint8))
    image.putpalette(colour_table(palette).tobytes())
    _save(image, path)


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3] RGB; the folder is made, the format follows the file's suffix."""
    _save(Image.fromarray(image), path)


def _save(image: Image.Image, path: str | os.PathLike) -> None:
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise OSError(f'cannot write the picture {path}: {error.strerror or error}') from error


def displayable(image: np.ndarray) -> np.ndarray:
    """A picture of what a loader returned: uint8 [H, W, 3] in the order of its channels.

    Args:
        image: [H, W] or [H, W, C] of any depth. Grey (with alpha) is shown as grey, of more than three channels the
            first three. Values from 0 to 255 stay; if there are others, or floats of at most 1, the least becomes black
            and the largest 255.
    """
    image = image if image.ndim == 3 else image[..., None]
    image = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255 or high <= 1:
        values = (values - low) * (255 / (high - low or 1))
    return values.round().astype(np.uint8)


def blend(image: np.ndarray, ids: np.ndarray, palette: Palette, opacity: float = 0.5) -> np.ndarray:
    """Lay the coloured ids over the image.

    Args:
        image: uint8 [H, W, 3] RGB.
        ids: integer [H, W]; or float [H, W] in 0..1 (HRDA's scale attention), painted as a heat map.
        palette: RGB colours 0..255.
        opacity: of the coloured map, 0 < opacity <= 1.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    if not 0 < opacity <= 1:
        raise ValueError(f'opacity must be above 0 and at most 1, got {opacity}')
    if image.shape[:2] != ids.shape:
        raise ValueError(f'image {image.shape[:2]} and prediction {ids.shape} differ in size')
    colours = heat_map(ids) if np.issubdtype(ids.dtype, np.floating) else colourise(ids, palette)
    return (image * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def heat_map(values: np.ndarray) -> np.ndarray:
    """Paint [H, W] values of 0..1 as uint8 [H, W, 3] RGB, dark blue to yellow."""
    from matplotlib import colormaps
    return (colormaps['viridis'](np.clip(values, 0, 1))[..., :3] * 255).round().astype(np.uint8)
