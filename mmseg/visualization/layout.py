"""Pictures of predictions as people show them: with contours, a legend, beside the image."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg.visualization.palettes import Palette, colourise
from mmseg.visualization.predictions import blend

GAP = 8  # pixels between pictures
LINES_PER_SIDE = 400  # a contour is one pixel thick for so many pixels of the longer side


@dataclass(frozen=True)
class Style:
    """How a prediction is drawn.

    Attributes:
        opacity: of the coloured classes on the image, 0 < opacity <= 1.
        contour: draw the borders of the classes instead.
        side_by_side: put the image to the left of it.
        legend: put the names of all classes below.
    """
    opacity: float = 0.5
    contour: bool = False
    side_by_side: bool = False
    legend: bool = False

    @property
    def is_ids(self) -> bool:
        """Whether nothing but the classes can be seen: an image of their ids says the same."""
        return self.opacity == 1 and not (self.contour or self.side_by_side or self.legend)

    def draw(self, image: np.ndarray, ids: np.ndarray, classes: Sequence[str], palette: Palette) -> np.ndarray:
        """Draw class ids [H, W] over their image, uint8 [H, W, 3] RGB; the result may be larger."""
        drawn = contours(image, ids, palette) if self.contour else blend(image, ids, palette, self.opacity)
        if self.side_by_side:
            drawn = side_by_side([image, drawn])
        return with_legend(drawn, classes, palette, range(len(classes))) if self.legend else drawn


BLENDED = Style()


def contours(image: np.ndarray, ids: np.ndarray, palette: Palette) -> np.ndarray:
    """The image, uint8 [H, W, 3] RGB, with the borders between classes, on each side in the colour of its class."""
    ids = ids.astype(np.uint8)
    side = 2 * max(1, round(max(ids.shape) / LINES_PER_SIDE)) + 1
    kernel = np.ones((side, side), np.uint8)
    border = cv2.dilate(ids, kernel) != cv2.erode(ids, kernel)
    return np.where(border[..., None], colourise(ids, palette), image)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height, uint8 [H, W, 3], from left to right with white gaps."""
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (gap, picture)][1:])


def with_legend(picture: np.ndarray, classes: Sequence[str], palette: Palette, present: Collection[int]) -> np.ndarray:
    """Add colours and names of classes below a picture, in as many lines as they need.

    Args:
        picture: uint8 [H, W, 3] RGB.
        present: ids of the classes to name.
    """
    width = picture.shape[1]
    size = max(11, min(28, width // 45))
    font, line = ImageFont.load_default(size), round(1.6 * size)
    places, x, y = [], GAP, 0
    for number in present:
        length = round(1.5 * size + font.getlength(classes[number]))
        if x + length > width and x > GAP:
            x, y = GAP, y + line
        places.append((number, x, y))
        x += length + size
    strip = Image.new('RGB', (width, y + line + GAP // 2), 'white')
    draw = ImageDraw.Draw(strip)
    for number, x, y in places:
        top = y + line // 2
        draw.rectangle((x, top - size // 2, x + size, top + size // 2), tuple(palette[number]), 'grey')
        draw.text((x + round(1.5 * size), top), classes[number], 'black', font, anchor='lm')
    return np.vstack([picture, np.asarray(strip)])
