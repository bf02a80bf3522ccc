"""Patches to pixels, to label ids and to polygons."""
from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .view import Patch, Scene

SUPERSAMPLING = 2
SHIFT = 4  # fractional bits of the coordinates that OpenCV fills

# Ids of the Cityscapes and GTA label maps
LABEL_IDS = {
    'unlabeled': 0, 'ego vehicle': 1, 'road': 7, 'sidewalk': 8, 'building': 11, 'wall': 12, 'fence': 13, 'pole': 17,
    'traffic light': 19, 'traffic sign': 20, 'vegetation': 21, 'terrain': 22, 'sky': 23, 'person': 24, 'rider': 25,
    'car': 26, 'truck': 27, 'bus': 28, 'train': 31, 'motorcycle': 32, 'bicycle': 33}


def polygons(scene: Scene) -> list[tuple[str, list[list[int]]]]:
    """(label, whole-pixel outline) of all labelled patches, in painting order."""
    return [(patch.label, np.rint(patch.polygon).astype(int).tolist()) for patch in scene.patches if patch.label]


def label_ids(scene: Scene) -> np.ndarray:
    """The truth: uint8 [H, W] Cityscapes label ids, drawn from :func:`polygons` as cityscapesscripts does."""
    canvas = Image.new('L', (scene.width, scene.height), LABEL_IDS['unlabeled'])
    pen = ImageDraw.Draw(canvas)
    for label, outline in polygons(scene):
        pen.polygon([tuple(point) for point in outline], fill=LABEL_IDS[label])
    return np.asarray(canvas)


def render(scene: Scene) -> np.ndarray:
    """The picture: uint8 RGB [H, W, 3]."""
    scale = SUPERSAMPLING
    height, width = scene.height * scale, scene.width * scale
    image = np.zeros((height, width, 3), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None] / scale
    below = np.maximum(rows - scene.horizon, 0.1)
    ground = np.where(rows > scene.horizon, scene.focal * scene.eye / below, 1e3)
    depth = np.ascontiguousarray(np.broadcast_to(ground, (height, width)))
    texture = _texture(scene.rng, height, width)
    for patch in scene.patches:
        _fill(image, depth, ground, texture, patch, scale)
    image = cv2.resize(image, (scene.width, scene.height), interpolation=cv2.INTER_AREA)
    depth = cv2.resize(depth, (scene.width, scene.height), interpolation=cv2.INTER_AREA)
    return _photograph(scene, image, depth)


def _texture(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Noise [H, W] on three scales, about -1 to 1."""
    total = np.zeros((height, width), np.float32)
    for cell, weight in ((2, 0.5), (6, 0.35), (20, 0.35)):
        grid = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2)).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return total


def _fill(image: np.ndarray, depth: np.ndarray, ground: np.ndarray, texture: np.ndarray, patch: Patch,
          scale: int) -> None:
    """Paint one patch into the image [H, W, 3] and, unless it is a detail, its depth into the depth map [H, W]."""
    height, width = depth.shape
    outline = (patch.polygon + 0.5) * scale - 0.5
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2, (width, height))
    stencil = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(stencil, [np.rint((outline - (x0, y0)) * (1 << SHIFT)).astype(np.int32)], 1, shift=SHIFT)
    inside, window = stencil.astype(bool), (slice(y0, y1), slice(x0, x1))
    colour = np.asarray(patch.colour, np.float32)
    if patch.roughness:
        colour = colour * (1 + patch.roughness * texture[window])[..., None]
    if patch.opacity < 1:
        colour = patch.opacity * colour + (1 - patch.opacity) * image[window]
    np.copyto(image[window], colour, where=inside[..., None])
    if patch.label:
        np.copyto(depth[window], ground[y0:y1] if patch.depth is None else patch.depth, where=inside)


def _photograph(scene: Scene, image: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Air, light, lens and sensor: float RGB [H, W, 3] to uint8."""
    style, rng = scene.style, scene.rng
    height, width = depth.shape
    thickness = -np.log(1 - rng.uniform(*style.haze)) / 50
    haze = (1 - np.exp(-thickness * np.minimum(depth, 120)))[..., None].astype(np.float32)
    image = image * (1 - haze) + np.asarray(style.haze_colour, np.float32) * haze
    y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + style.gradient * rng.rand() * (x * np.cos(angle) + y * np.sin(angle))
    light *= 1 - style.vignette * (x ** 2 + y ** 2) / 2
    white = [rng.uniform(*span) for span in style.white]
    image = image * (light[..., None] * np.asarray(white, np.float32) * rng.uniform(*style.gain))
    image = (image - 128) * rng.uniform(*style.contrast) + 128
    sigma = rng.uniform(*style.blur) * width / 192
    if sigma > 0:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if style.noise:
        image = image + rng.normal(0, style.noise, image.shape) * rng.uniform(0.5, 1.2)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
