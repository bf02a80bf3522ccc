"""What a pixel of a label file means: the one reader of labels, for training, statistics, evaluation and tools."""
from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mmseg.datasets.files import read_label_array
from mmseg.errors import DataError
from mmseg.utils.commands import called
from mmseg.utils.labels import IGNORED

MAX_IDS, MAX_COLOURS = 2**16, 2**24
_COLOUR_WEIGHTS = np.array([65536, 256, 1], np.float32)  # exact below 2**24


def id_table(train_ids: Mapping[int, int]) -> np.ndarray:
    """uint8 [256]: the train id of every label id, 255 for ids without one."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(train_ids)] = list(train_ids.values())
    return table


def count_ids(label: np.ndarray) -> np.ndarray:
    """Pixels per label id of a uint8 array of any shape: int64 [256]."""
    if label.ndim != 2:
        label = label.reshape(-1, label.shape[-1])
    return cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """[..., 3] to int32 [...]: red * 65536 + green * 256 + blue."""
    return (colours.astype(np.float32) @ _COLOUR_WEIGHTS).astype(np.int32)


def colour_name(code: int) -> str:
    """'#804000'."""
    return f'#{code:06x}'


@dataclass(frozen=True)
class Meaning:
    """The class index of each id or colour.

    Attributes:
        classes: index by id, or by colour code (see :func:`colour_codes`); 255 leaves pixels out.
        other: the index of all that are not named; None: there are no others.
        remedy: ends the message about an id or colour that is not named.
    """
    classes: Mapping[int, int]
    other: int | None = None
    remedy: str = "add them to label_map (None leaves pixels out, '*' stands for all others)"

    def table(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [size] of indices, and bool [size]: which codes are known."""
        indices = np.full(size, IGNORED if self.other is None else self.other, np.uint8)
        known = np.full(size, self.other is not None)
        codes = list(self.classes)
        indices[codes], known[codes] = list(self.classes.values()), True
        return indices, known


def published_ids(train_ids: Mapping[int, int], num_ids: int) -> Meaning:
    """What the ids 0 to ``num_ids - 1`` of a published data set are; those without train id are left out."""
    return Meaning({i: train_ids.get(i, IGNORED) for i in range(num_ids)}, remedy=f'the data set has 0 to {num_ids - 1}'
                   ': are these its original labels, in the version that docs/datasets.md names?')


@dataclass(frozen=True, eq=False)
class LabelFormat:
    """How the label files of one data set are written.

    An id in a file becomes a class index by ``label_map``, or else by ``reduce_zero_label`` and ``ignore_index``; what
    is no class then is refused with the file's name. Afterwards ``chosen`` picks classes.

    Attributes:
        num_classes: number of classes, for a check of what is read; None: any id up to 255 will do.
        ignore_index: id (once reduced) that counts as unlabelled, beside 255; may be negative or above 255, too.
        reduce_zero_label: 0 is unlabelled and all others go down by one.
        label_map: what ids mean.
        colours: what colours mean; None: files in colours are refused.
        by_colour: files with one channel are read as colours through their palette.
        chosen: uint8 [256], from class index to that of a subset, 255 for classes that are left out.

    Raises:
        DataError: if two settings contradict each other.
    """
    num_classes: int | None = None
    ignore_index: int = IGNORED
    reduce_zero_label: bool = False
    label_map: Meaning | None = None
    colours: Meaning | None = None
    by_colour: bool = False
    chosen: np.ndarray | None = None

    def __post_init__(self) -> None:
        if type(self.ignore_index) is not int or self.ignore_index not in range(-2**15, MAX_IDS):
            raise DataError(f'ignore_index={self.ignore_index!r}: it is an id, -32768 to 65535, or 255 for none beside '
                            'the usual one')
        mapped = self.label_map is not None or self.by_colour
        if mapped and self.reduce_zero_label:
            raise DataError('label_map and reduce_zero_label=True both say what the ids mean: leave the latter out, '
                            'and give 0 as None in label_map')
        named = self.label_map.classes.get(self.ignore_index, IGNORED) if self.label_map else IGNORED
        if self.ignore_index != IGNORED and named != IGNORED:
            raise DataError(f'label_map makes the id {self.ignore_index} a class, ignore_index={self.ignore_index} '
                            'leaves it out: remove one of them')

    @property
    def is_plain(self) -> bool:
        """Whether files hold class indices and 255."""
        return (self.label_map is None and self.colours is None and not self.reduce_zero_label
                and self.ignore_index == IGNORED)

    @property
    def key(self) -> str:
        """Eight digits that differ between formats that read files differently, ``chosen`` left aside."""
        indices, known = self._ids
        colours = self.colours and (sorted(self.colours.classes.items()), self.colours.other)
        return f'{zlib.crc32(repr((_digest(indices), _digest(known), colours, self.by_colour)).encode()):08x}'

    @property
    def full_key(self) -> str:
        """Like :attr:`key`, ``chosen`` included."""
        return self.key if self.chosen is None else f'{self.key}_{_digest(self.chosen):08x}'

    @cached_property
    def _ids(self) -> tuple[np.ndarray, np.ndarray]:
        """uint8 and bool [65536]: class index of each id in a file, and whether it is known."""
        if self.label_map is not None:
            void = {i: IGNORED for i in (IGNORED, self.ignore_index) if i >= 0}
            return Meaning({**void, **self.label_map.classes}, self.label_map.other).table(MAX_IDS)
        index = np.arange(MAX_IDS)
        if self.reduce_zero_label:
            index = np.where((index == 0) | (index == IGNORED), IGNORED, index - 1)
        index[index == self.ignore_index] = IGNORED
        known = (index < (256 if self.num_classes is None else self.num_classes)) | (index == IGNORED)
        return index.astype(np.uint8), known

    @cached_property
    def _colours(self) -> tuple[np.ndarray, np.ndarray]:
        indices, known = (self.colours or Meaning({})).table(MAX_COLOURS)
        if not self.by_colour and self.ignore_index in range(256):
            indices[indices == self.ignore_index] = IGNORED
        return indices, known

    def load(self, path: str) -> np.ndarray:
        """Class indices of a label file.

        Args:
            path: the file; may lie in a zip archive.

        Returns:
            uint8 [H, W], 255 where nothing is known.

        Raises:
            DataError: if it is missing, damaged, or holds what is no class.
        """
        index = self.load_all(path)
        return index if self.chosen is None else cv2.LUT(index, self.chosen)

    def load_all(self, path: str) -> np.ndarray:
        """Like :meth:`load`, before ``chosen`` picks classes."""
        return self.read(read_label_array(path, self.by_colour), path)

    def read(self, array: np.ndarray, path: str) -> np.ndarray:
        """Class indices of the content of a label file, before ``chosen`` picks classes.

        Args:
            array: integer, bool or float [H, W], or uint8 [H, W, 3] of red, green, blue.
            path: for messages.
        """
        if array.ndim == 3:
            if self.colours is None:
                if (array == array[..., :1]).all():
                    first = colour_name(int(array.max()) * 0x010101)
                    raise DataError(f'label map {path} is a colour image whose three channels are equal: ids up to '
                                    f'{array.max()}, stacked as RGB. Write one channel, or take FolderDataset with '
                                    f"label_map={{'{first}': CLASS, ...}} ({called('init')} writes such a config)")
                raise DataError(f'label map {path} is a colour image: point ann_dir and seg_map_suffix at label ids, '
                                'run the converter of the data set (tools/convert_datasets), or let FolderDataset read '
                                "it, with the palette of the classes or a label_map of colours ('#804000')")
            return self._look_up(colour_codes(array), self._colours, path, 'colour')
        return self._look_up(self._whole(array, path), self._ids, path, 'id')

    def _whole(self, array: np.ndarray, path: str) -> np.ndarray:
        """Ids of one channel as unsigned integers below 65536."""
        if array.dtype.kind == 'f':
            wrong = array[~np.isfinite(array) | (array != np.trunc(array))]
            if wrong.size:
                values = ', '.join(f'{value:g}' for value in np.unique(wrong)[:5])
                raise DataError(f'label map {path} holds {values}, which are no ids: write whole numbers (and 255, or '
                                'ignore_index, where nothing is known)')
        if array.dtype.kind == 'b':
            return (array.view(np.uint8) > 0).view(np.uint8)  # Pillow's True may be any other byte than 0
        if array.dtype in (np.uint8, np.uint16):
            return array
        if self.ignore_index < 0:
            array = np.where(array == self.ignore_index, IGNORED, array)
        if array.size and (array.min() < 0 or array.max() >= MAX_IDS):
            raise DataError(f'label map {path} holds values from {array.min()} to {array.max()}; ids are 0 to '
                            f'{MAX_IDS - 1}: run the converter of the data set, or, if one of them means that nothing '
                            'is known, set ignore_index')
        return array.astype(np.uint16)

    def _look_up(self, codes: np.ndarray, tables: tuple[np.ndarray, np.ndarray], path: str, what: str) -> np.ndarray:
        indices, known = tables
        if codes.dtype == np.uint8:
            present = np.flatnonzero(count_ids(codes))
            unknown = present[~known[present]]
            result = codes if np.array_equal(indices[present], present) else cv2.LUT(codes, indices[:256])
        else:
            wrong = ~known[codes]
            unknown = np.unique(codes[wrong]) if wrong.any() else ()
            result = indices[codes]
        if len(unknown):
            self._refuse(unknown, path, what)
        return result

    def _refuse(self, codes: np.ndarray, path: str, what: str) -> None:
        meaning = self.colours if what == 'colour' else self.label_map
        names = ', '.join(colour_name(code) if what == 'colour' else str(code) for code in codes[:5])
        more = f' and {len(codes) - 5} more' if len(codes) > 5 else ''
        if meaning is not None:
            bits = '; white is 1 in a file of 1 bit' if what == 'id' and list(codes) == [1] else ''
            raise DataError(f'label map {path} holds the {what}s {names}{more}, which are no class; {meaning.remedy}'
                            f'{bits}')
        void = '255' if self.ignore_index == IGNORED else f'{self.ignore_index} or 255'
        first = int(self.reduce_zero_label)
        last = self.num_classes - 1 + first if self.num_classes else 255
        allowed = f'{first} to {last}, and {"0 or " if first else ""}{void} where nothing is known'
        raise DataError(f'label map {path} holds the ids [{names}{more}]; allowed are {allowed}. Either ann_dir or '
                        'seg_map_suffix is wrong, or the labels are not yet converted to train ids '
                        '(tools/convert_datasets), or, in data of your own, FolderDataset needs a label_map, from ids '
                        f'to classes ({called("init")} writes it)')


def _digest(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())
