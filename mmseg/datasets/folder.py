"""Own data without a class: a folder of images, a folder of masks, and the names of the classes."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import yaml

from mmseg.datasets.custom import MASK_SUFFIXES, CustomDataset, class_names
from mmseg.datasets.label_format import LabelFormat, Meaning, colour_codes
from mmseg.datasets.storage import is_folder, read_text
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from mmseg.utils.labels import IGNORED
from mmseg.utils.names import nearest

MAX_CLASSES = 254
OTHER = '*'
_HEX_COLOUR = re.compile('#[0-9a-fA-F]{6}')
Palette = Sequence[Sequence[int]]
LabelMap = Mapping[Any, 'str | int | None']


def read_classes(classes: str | Sequence[str]) -> tuple[list[str], list[list[int]] | None]:
    """Names of the classes, and their colours if they are given.

    Args:
        classes: the names; or a .json, .yaml or .yml file with a list of names or a mapping from name to colour; or a
            text file with one name per line.

    Raises:
        DataError: if the file cannot be read or holds something else, or a name occurs twice.
    """
    colours = None
    if isinstance(classes, str) and classes.endswith(('.json', '.yaml', '.yml')):
        try:
            content = (json.loads if classes.endswith('.json') else yaml.safe_load)(read_text(classes, 'classes'))
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise DataError(f'classes={classes!r} is no valid file: {error}') from None
        found = list(content.values()) if isinstance(content, dict) else []
        if not isinstance(content, (list, dict)) or not all(isinstance(colour, list) for colour in found):
            raise DataError(f'classes={classes!r} holds neither a list of names nor a mapping from name to colour')
        names, colours = list(content), found or None
    else:
        names = list(class_names(classes))
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names) or not names:
        raise DataError(f'classes are names, each of which occurs once; got {names}')
    if len(names) > MAX_CLASSES:
        raise DataError(f'{len(names)} classes: at most {MAX_CLASSES} are possible')
    return names, colours


def parse_label_map(label_map: LabelMap, classes: Sequence[str]) -> tuple[Meaning, str]:
    """What each id or colour code is, and which of both they are: 'id' or 'colour'.

    Raises:
        DataError: if a key is neither an id nor a colour, both kinds occur, or a value is no class.
    """
    indices = {key: _class_index(value, classes) for key, value in label_map.items()}
    other = indices.pop(OTHER, None)
    codes = {_code(key): index for key, index in indices.items()}
    kinds = {kind for kind, _ in codes}
    if len(kinds) != 1:
        raise DataError('label_map names ' + ('both ids and colours: use one of them' if kinds else 'no id or colour'))
    return Meaning({code: index for (_, code), index in codes.items()}, other), kinds.pop()


def _code(key: Any) -> tuple[str, int]:
    if isinstance(key, str) and _HEX_COLOUR.fullmatch(key):
        return 'colour', int(key[1:], 16)
    if str(key).isdecimal() and int(key) < 2**16:  # keys of JSON files are texts
        return 'id', int(key)
    raise DataError(f"label_map: {key!r} is neither an id (0 to 65535) nor a colour ('#804000')")


def _class_index(value: str | int | None, classes: Sequence[str]) -> int:
    if value is None or value == IGNORED:
        return IGNORED
    if isinstance(value, str) and value in classes:
        return list(classes).index(value)
    if isinstance(value, int) and value in range(len(classes)):
        return value
    raise DataError(f'label_map: {value!r} is neither a class ({nearest(str(value), classes)}) nor None')


@DATASETS.register_module()
class FolderDataset(CustomDataset):
    """Images and masks that have the same path up to the suffix; no mask is needed where there is no ``ann_dir``.

    Args:
        pipeline: transforms; the first ones load the image and, if wanted, the mask.
        img_dir: folder of the images. Without ``img_suffix`` any image in it is taken.
        classes: names, or a .json or .yaml file with a list of them or a mapping from name to colour, or a text file
            with one per line.
        ann_dir: folder of the masks. Without ``seg_map_suffix`` any in a format without loss is taken.
        palette: (red, green, blue) of each class, for pictures and for masks in colours.
        label_map: what the masks hold: from id, or from colour (``'#804000'``), to class name or index; None leaves
            pixels out, the key ``'*'`` stands for everything else. Without it ids are class indices, 255 being left
            out, and colours those of the palette.
        **kwargs: what else a :class:`~mmseg.datasets.custom.CustomDataset` takes.

    Raises:
        DataError: for what is wrong with the arguments, and if images have no mask.
    """
    IMG_SUFFIX = SEG_MAP_SUFFIX = ''  # any

    def __init__(self, pipeline: Sequence[dict[str, Any]], img_dir: str, classes: str | Sequence[str],
                 ann_dir: str | None = None, palette: Palette | None = None, label_map: LabelMap | None = None,
                 **kwargs: Any) -> None:
        names, colours = read_classes(classes)
        palette = palette or colours
        if palette is not None and (len(palette) != len(names) or any(
                len(colour) != 3 or any(value not in range(256) for value in colour) for colour in palette)):
            raise DataError(f'palette needs one (red, green, blue), each 0 to 255, for each of {names}; got {palette}')
        self._mask_colours, self.label_map = palette, label_map
        super().__init__(pipeline, img_dir, ann_dir=ann_dir, classes=names, palette=palette, **kwargs)

    def _choose_format(self, table: np.ndarray | None) -> LabelFormat:
        classes = self.CLASSES or ()
        common = partial(LabelFormat, len(classes), self.ignore_index, self.reduce_zero_label)
        if self.label_map is not None:
            meaning, kind = parse_label_map(self.label_map, classes)
            if kind == 'colour':
                return common(colours=meaning, by_colour=True)
            return common(label_map=meaning)
        if self._mask_colours is None:
            return common()
        codes = colour_codes(np.array(self._mask_colours)).tolist()
        if len(set(codes)) < len(codes):
            raise DataError(f'palette gives two classes the same colour: {self._mask_colours}')
        return common(colours=Meaning({code: i for i, code in enumerate(codes)}))

    def _list_images(self) -> list[dict[str, Any]]:
        if self.ann_dir is not None and not is_folder(self.ann_dir):
            raise DataError(f'{type(self).__name__}: ann_dir {self.ann_dir} does not exist (leave it out of a target '
                            'without labels)')
        return super()._list_images()

    def find_names(self) -> list[str]:
        """All images, sorted by path; each needs a mask, if there is a folder of masks."""
        missing = sorted(set(self._images) - set(self._labels)) if self.has_labels else []
        if missing:
            raise DataError(f'{len(missing)} of {len(self._images)} images in {self.img_dir} have no mask in '
                            f'{self.ann_dir}, such as {self._images[missing[0]]}: images and masks are matched by path '
                            f'without suffix, masks end in {self.seg_map_suffix or " ".join(MASK_SUFFIXES)}; list '
                            'images to use in a split file')
        return sorted(self._images)

    def image_name(self, name: str) -> str:
        """The file with that path up to the suffix, whatever its suffix."""
        if name not in self._images:
            raise DataError(f'{self.split} names {name!r}, but {self.img_dir} holds no such image (names are without '
                            'suffix)')
        return self._images[name]

    def label_name(self, name: str) -> str | None:
        """The mask with the same path up to the suffix; None without a folder of masks."""
        if self.has_labels and name not in self._labels:
            raise DataError(f'the image {self._images[name]} has no mask in {self.ann_dir}')
        return self._labels.get(name)
