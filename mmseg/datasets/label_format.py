"""How the label files of a data set are written, and what turns them into class indices."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmseg.datasets.errors import DataError
from mmseg.datasets.files import as_ids, check_ids, read_label, read_mask

IGNORED = 255
_UNKNOWN = 254  # in a CodeTable
_COLOUR_WEIGHTS = np.array([65536, 256, 1], np.float32)  # exact below 2**24


def id_table(train_ids: Mapping[int, int]) -> np.ndarray:
    """uint8 [256]: the train id of every label id, 255 for ids without one."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(train_ids)] = list(train_ids.values())
    return table


@dataclass(frozen=True)
class LabelFormat:
    """Label files of ids.

    Attributes:
        num_ids: number of ids, for a check of what is read; None for no check.
        ignore_index: an id that is allowed beside 255.
        original: uint8 [256], from what the files hold to ids; None where they are the same.
        table: uint8 [256], from id to class index, 255 for ids that are left out; None where they are the same.
    """
    num_ids: int | None = None
    ignore_index: int = IGNORED
    original: np.ndarray | None = None
    table: np.ndarray | None = None

    def ids(self, path: str, reduce_zero_label: bool = False) -> np.ndarray:
        """Read a label file and check its ids.

        Args:
            path: the file; may lie in a zip archive.
            reduce_zero_label: id 0 becomes 255 and all others go down by one (before the check).

        Returns:
            uint8 [H, W].

        Raises:
            DataError: if it is missing, damaged or holds unknown ids.
        """
        return self._checked(read_label(path), path, reduce_zero_label)

    def _checked(self, label: np.ndarray, path: str, reduce_zero_label: bool) -> np.ndarray:
        if self.original is not None:
            label = self.original[label]
        if reduce_zero_label:
            label = np.where((label == 0) | (label == IGNORED), np.uint8(IGNORED), label - np.uint8(1))
        if self.num_ids is not None:
            check_ids(label, self.num_ids, self.ignore_index, path)
        return label

    def load(self, path: str, reduce_zero_label: bool = False) -> np.ndarray:
        """Class indices of a label file: uint8 [H, W]. Arguments and errors as :meth:`ids`."""
        ids = self.ids(path, reduce_zero_label)
        return ids if self.table is None else self.table[ids]


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """[..., 3] to int32 [...]: red * 65536 + green * 256 + blue."""
    return (colours.astype(np.float32) @ _COLOUR_WEIGHTS).astype(np.int32)


@dataclass(frozen=True)
class CodeTable:
    """Class indices of ids or colour codes.

    Attributes:
        table: uint8 [number of codes].
        what: how messages call a code, 'id' or 'colour'.
    """
    table: np.ndarray
    what: str

    @classmethod
    def of(cls, classes: Mapping[int, int], other: int | None, what: str) -> CodeTable:
        """Of a mapping from code to class index; ``other`` is the index of all further codes, None: refuse them."""
        table = np.full(2**24 if what == 'colour' else 2**16, _UNKNOWN if other is None else other, np.uint8)
        table[list(classes)] = list(classes.values())
        return cls(table, what)

    def __call__(self, codes: np.ndarray, path: str) -> np.ndarray:
        """Class indices of an array of codes: uint8 of its shape."""
        if codes.dtype != np.uint8 and (codes.min() < 0 or codes.max() >= len(self.table)):
            raise DataError(f'mask {path} holds values from {codes.min()} to {codes.max()}; ids are 0 to 65535')
        indices = self.table[codes]
        unknown = indices == _UNKNOWN
        if unknown.any():
            self._refuse(np.unique(codes[unknown]), path)
        return indices

    def _refuse(self, codes: np.ndarray, path: str) -> None:
        names = [f'#{code:06x}' if self.what == 'colour' else str(code) for code in codes[:5]]
        more = f' and {len(codes) - 5} more' if len(codes) > 5 else ''
        raise DataError(f"mask {path} holds the {self.what}s {', '.join(names)}{more}, which are no class: add them to "
                        f"label_map (None leaves pixels out, '*' stands for all further {self.what}s)")


@dataclass(frozen=True)
class MaskFormat(LabelFormat):
    """Masks as people draw them.

    Attributes:
        values: what ids mean; None: they are class indices.
        colours: what colours mean; None: masks have no colours.
        by_colour: files with one channel are read as colours, too, through their palette.
    """
    values: CodeTable | None = None
    colours: CodeTable | None = None
    by_colour: bool = False

    def ids(self, path: str, reduce_zero_label: bool = False) -> np.ndarray:
        """Class indices of a mask; arguments and errors as in the parent class."""
        mask = read_mask(path, self.by_colour)
        if mask.ndim == 3:
            if self.colours is None:
                raise DataError(f'mask {path} is a colour image: give the palette of the classes, or label_map with '
                                "colours ('#804000')")
            return self.colours(colour_codes(mask), path)
        if self.values is not None:
            return self.values(mask, path)
        return self._checked(as_ids(mask, path), path, reduce_zero_label)
