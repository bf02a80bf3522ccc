"""The classes of Cityscapes: label ids of the files, train ids of networks, colours; and label maps from polygons."""
from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

CITYSCAPES_CLASSES = ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
                      'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle',
                      'bicycle')
CITYSCAPES_PALETTE = [[128, 64, 128], [244, 35, 232], [70, 70, 70], [102, 102, 156], [190, 153, 153], [153, 153, 153],
                      [250, 170, 30], [220, 220, 0], [107, 142, 35], [152, 251, 152], [70, 130, 180], [220, 20, 60],
                      [255, 0, 0], [0, 0, 142], [0, 0, 70], [0, 60, 100], [0, 80, 100], [0, 0, 230], [119, 11, 32]]
UNLABELED, NO_CLASS = 0, 255  # as label id and as train id


class Label(NamedTuple):
    """One class.

    Attributes:
        id: in the published files, 0 to 33; -1 for what those do not distinguish.
        train_id: 0 to 18; 255 for what is not evaluated.
        color: RGB, 0 to 255.
    """
    id: int
    train_id: int
    color: tuple[int, ...]


# The published ids of the classes that are evaluated, in their order, and id and colour of the others.
_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_OTHERS = {
    'unlabeled': (UNLABELED, (0, 0, 0)), 'ego vehicle': (1, (0, 0, 0)), 'rectification border': (2, (0, 0, 0)),
    'out of roi': (3, (0, 0, 0)), 'static': (4, (0, 0, 0)), 'dynamic': (5, (111, 74, 0)), 'ground': (6, (81, 0, 81)),
    'parking': (9, (250, 170, 160)), 'rail track': (10, (230, 150, 140)), 'guard rail': (14, (180, 165, 180)),
    'bridge': (15, (150, 100, 100)), 'tunnel': (16, (150, 120, 90)), 'polegroup': (18, (153, 153, 153)),
    'caravan': (29, (0, 0, 90)), 'trailer': (30, (0, 0, 110)), 'license plate': (-1, (0, 0, 142))}
LABELS: dict[str, Label] = {
    **{name: Label(_IDS[i], i, tuple(CITYSCAPES_PALETTE[i])) for i, name in enumerate(CITYSCAPES_CLASSES)},
    **{name: Label(number, NO_CLASS, color) for name, (number, color) in _OTHERS.items()}}


def draw_train_ids(file: str) -> np.ndarray:
    """The label map of a file of polygons, in which later ones hide earlier ones.

    A ``...group`` of things that are not told apart (``cargroup``) has the class of one of them; licence plates are
    part of what carries them.

    Returns:
        Train ids, uint8 [H, W].

    Raises:
        ValueError, KeyError, TypeError: if the file is damaged, or names an unknown class.
    """
    with open(file, encoding='utf-8') as stream:
        scene = json.load(stream)
    image = Image.new('L', (scene['imgWidth'], scene['imgHeight']), NO_CLASS)
    draw = ImageDraw.Draw(image)
    for thing in scene['objects']:
        name = thing['label']
        label = LABELS.get(name) or LABELS.get(name.removesuffix('group'))
        if label is None:
            raise ValueError(f'unknown class {name!r}')
        if label.id >= 0 and not thing.get('deleted'):
            draw.polygon([tuple(corner) for corner in thing['polygon']], fill=label.train_id)
    return np.array(image)
