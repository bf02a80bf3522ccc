"""What masks hold, before anybody has said what it means: ids or colours, how often, in pieces of which size."""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mmseg.datasets.files import read_header, read_label_array
from mmseg.datasets.label_format import colour_codes, colour_name
from mmseg.datasets.pairs import is_close, mismatch
from mmseg.doctor.labels import distinct
from mmseg.doctor.survey import MOST, named, spread, survey
from mmseg.errors import DataError
from mmseg.init.pairing import Folder

MEASURED = 300  # masks whose pieces are measured
LONGEST = 512  # pixels that a mask has at most on the long side where pieces are measured
SMALLEST = 16  # pixels of a piece, there
MOST_VALUES = 254
LARGEST = 65535  # id


@dataclass(frozen=True)
class Piece:
    """A connected region of one value.

    Attributes:
        side: square root of its area, as a share of the shorter side of the image.
        compact: whether it fills at least a third of its bounding box, whose sides differ by less than four times.
    """
    side: float
    compact: bool


@dataclass(frozen=True)
class Mask:
    """What one file holds: pixels and pieces by value, an id ('7') or a colour ('#804000')."""
    size: tuple[int, int]
    pixels: Counter[str]
    pieces: Mapping[str, Sequence[Piece]]


@dataclass(frozen=True)
class Masks:
    """What was found in the masks of a folder.

    Attributes:
        looked: the masks that were read.
        total: how many masks there are.
    """
    looked: Sequence[Mask]
    total: int

    @cached_property
    def pixels(self) -> Counter[str]:
        """Number of pixels by value."""
        return sum((mask.pixels for mask in self.looked), Counter())

    @property
    def values(self) -> list[str]:
        """All values, ids by number."""
        return sorted(self.pixels, key=lambda value: (value.startswith('#'), value if '#' in value else int(value)))

    def pieces(self, values: Sequence[str]) -> list[Piece]:
        """Those of some values."""
        return [piece for mask in self.looked for value in values for piece in mask.pieces.get(value, ())]


def look_at_masks(folder: Folder, names: Sequence[str]) -> Masks:
    """Read the masks of some images, of very many a part.

    Raises:
        DataError: if one cannot be read or has another size than its image, some hold ids and others colours, or they
            hold too many values to be masks.
    """
    chosen = spread(len(names), MOST)
    measured = {chosen[i] for i in spread(len(chosen), MEASURED)}
    seen = survey(lambda idx: _look(folder, names[idx], idx in measured), chosen, f'{folder.ann_dir}: masks')
    for error in seen.errors.values():
        more = f' ({len(seen.errors)} of {seen.size} masks cannot be used)' if len(seen.errors) > 1 else ''
        raise DataError(f'{error}{more}') if isinstance(error, DataError) else error
    masks = Masks(list(seen.found.values()), len(names))
    kinds = {value.startswith('#') for value in masks.pixels}
    if len(kinds) > 1:
        example = [next(idx for idx, mask in seen.found.items() if any(('#' in value) == kind for value in mask.pixels))
                   for kind in kinds]
        raise DataError('some masks hold ids, others colours: '
                        f'{named([folder.mask(names[idx]) for idx in sorted(example)])}; write all in the same way')
    if len(masks.pixels) > MOST_VALUES:
        common = sum(n for _, n in masks.pixels.most_common(30)) / masks.pixels.total()
        raise DataError(f'the masks in {folder.ann_dir} hold {len(masks.pixels):,} different values, the 30 most '
                        f'frequent on {100 * common:.1f} % of the pixels: these are no masks of classes (photographs? '
                        'numbers of instances? edges smoothed, or compressed with loss?)')
    return masks


def _look(folder: Folder, name: str, measure: bool) -> Mask:
    path, image_path = folder.mask(name), folder.image(name)
    array = read_label_array(path)
    size, image = array.shape[:2], image_size(image_path)
    if not is_close(size, image):
        raise DataError(mismatch(path, size, image_path, image))
    values, pixels, _ = distinct(array)
    if array.ndim == 2:
        wrong = [value for value in values if not value.isdecimal() or int(value) > LARGEST]
        if wrong:
            raise DataError(f'label map {path} holds {named(wrong)}: ids are whole numbers from 0 to {LARGEST}')
    return Mask(size, Counter(dict(zip(values, pixels.tolist()))), _pieces(array) if measure else {})


def image_size(path: str) -> tuple[int, int]:
    """Height and width of an image file."""
    header = read_header(path)
    return header.height, header.width


def _pieces(array: np.ndarray) -> dict[str, list[Piece]]:
    step = -(-max(array.shape[:2]) // LONGEST)
    small = array[::step, ::step]
    is_colour = array.ndim == 3
    codes = colour_codes(small) if is_colour else small
    short = min(codes.shape)
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for code in np.unique(codes):
        _, _, stats, _ = cv2.connectedComponentsWithStats((codes == code).astype(np.uint8), connectivity=8)
        name = colour_name(code) if is_colour else f'{code:g}'
        for _, _, width, height, area in stats[1:].tolist():
            if area >= SMALLEST:
                compact = 3 * area >= width * height and max(width, height) < 4 * min(width, height)
                pieces[name].append(Piece(area**0.5 / short, compact))
    return dict(pieces)
