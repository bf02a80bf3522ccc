"""How large images are shown to the network: so that things come out equally large in both domains."""
from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mmseg.init.classes import Classes
from mmseg.init.masks import Masks, Piece

CELL = 32  # sides of crops are multiples of it: the coarsest cells of the encoders
ENLARGED = 2  # the most that images are enlarged
FEW = 10  # pieces of a class that say something about it
LEAST, MOST = 0.5, 2.0  # ratios of sizes beyond are no matter of scale
EQUAL = 1.2  # two halves of one data set differ by up to that factor
FULL = 0.75  # the published cat_max_ratio
THINGS = set('aircraft airplane animal bicycle bicyclist bike bird boat bus car cat cow cyclist dog horse human light '
             'motorbike motorcycle pedestrian people person plane rider sheep ship sign signal train tram truck van '
             'vehicle'.split())
STUFF = set('background building ceiling fence field floor grass ground pavement pole road sidewalk sky soil street '
            'terrain tree vegetation wall water'.split())
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Scales:
    """Sizes of what the network sees.

    Attributes:
        source, target: ``img_scale`` of the resizing, (long, short) side.
        crop: side of the square crops.
        source_factor: by which source images are resized, in the median.
        why: reasons for the scales.
    """
    source: Size
    target: Size
    crop: int
    source_factor: float
    why: str


def choose_scales(source: Sequence[Size], target: Sequence[Size], ratio: float | None, compared: str, side: int
                  ) -> Scales:
    """The scales at which things of the source become as large as those of the target.

    Args:
        source, target: heights and widths of images.
        ratio: how much larger things of the source are, as a share of the shorter side of the image; None: not known.
        compared: what ``ratio`` was measured on.
        side: the shorter side in pixels that training on this machine affords.
    """
    natural = [median(min(size) for size in sizes) for sizes in (source, target)]
    shares = (1., ratio) if ratio is not None and ratio > 1 else (1 / (ratio or 1), 1.)
    shown = min(side, *(ENLARGED * int(short) for short in natural))
    shown = max(CELL, shown // CELL * CELL if shown < side else shown)
    shorts = [round(shown * share) for share in shares]
    if ratio is None:
        why = ('no target mask says how large things are there: they are taken to fill the same share of the image as '
               'in the source; if they do not, change one of the two scales')
    elif shares == (1., 1.):
        why = f'things fill the same share of the image in both domains ({compared})'
    else:
        why = (f'things of the source are {ratio:.2f} times as large as those of the target, as a share of the image '
               f'({compared}): resized they are equally large')
    return Scales(_scale(source, shorts[0]), _scale(target, shorts[1]), min(shorts) // CELL * CELL,
                  shorts[0] / natural[0], f'{why}; shorter sides were {natural[0]:g} and {natural[1]:g} pixels')


def _scale(sizes: Sequence[Size], short: int) -> Size:
    """An ``img_scale`` that brings the shorter side of all images to ``short``."""
    return math.ceil(short * max(max(size) / min(size) for size in sizes)), short


def size_ratio(source: Masks, target: Masks, classes: Classes) -> tuple[float | None, str]:
    """How much larger the pieces of the source are, and which classes were compared; None if they cannot be."""
    ratios: dict[str, float] = {}
    for index, name in enumerate(classes.names):
        pieces = [masks.pieces(classes.values(index)) for masks in (source, target)]
        if min(map(len, pieces)) >= FEW:
            ratios[name] = usual_side(pieces[0]) / usual_side(pieces[1])
    if not ratios:
        return None, ''
    ratio = min(max(median(ratios.values()), LEAST), MOST)
    return 1. if 1 / EQUAL < ratio < EQUAL else round(ratio, 2), f'median of {", ".join(ratios)}'


def usual_side(pieces: Sequence[Piece]) -> float:
    """The mean over pixels of the size of the piece in which they lie: splinters have no say."""
    return sum(piece.side**3 for piece in pieces) / sum(piece.side**2 for piece in pieces)


def find_things(masks: Masks, classes: Classes) -> list[int]:
    """What ImageNet's features know: by name where it is a usual one, else classes that come as compact pieces."""
    return [index for index, name in enumerate(classes.names)
            if _is_thing(name, masks.pieces(classes.values(index)))]


def _is_thing(name: str, pieces: Sequence[Piece]) -> bool:
    words = set(re.split(r'[^a-z]+', name.lower()))
    words |= {word.removesuffix('s') for word in words}
    if words & THINGS or words & STUFF or len(pieces) < FEW:
        return bool(words & THINGS)
    compact = sum(piece.side**2 for piece in pieces if piece.compact) / sum(piece.side**2 for piece in pieces)
    return compact > 0.75 and usual_side(pieces) < 0.3


def rare_pixels(source: Masks, classes: Classes) -> tuple[int, str]:
    """``min_pixels`` of the rare class sampling in the pixels of the masks, and why."""
    pixels = median(mask.size[0] * mask.size[1] for mask in source.looked)
    usual = round(0.0015 * pixels)
    least, name = usual, ''
    for index, class_name in enumerate(classes.names):
        values = classes.values(index)
        counts = sorted((sum(mask.pixels[value] for value in values) for mask in source.looked), reverse=True)
        shown = [count for count in counts if count]
        if shown:  # at least a quarter of the images that show a class are there to be drawn
            enough = shown[(len(shown) - 1) // 4] - 1
            if enough < least:
                least, name = enough, class_name
    if name:
        return max(least, 0), f'less than the published share of an image (3000 of 2 megapixels), since {name} is small'
    return usual, 'the published share of an image: 3000 of 2 megapixels'
