"""ACDC: driving in fog, at night, in rain and snow."""
from __future__ import annotations

import os.path as osp
from typing import Any

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.storage import is_folder, list_files
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ACDCDataset(CityscapesDataset):
    """ACDC in the flat layout, ``rgb_anon/<split>`` and ``gt/<split>``, or as it is published.

    With ``img_dir='rgb_anon/train'`` and no such folder, the images are those below
    ``rgb_anon/<condition>/train/<sequence>``, and the label maps are found in the same way.
    """
    IMG_SUFFIX, SEG_MAP_SUFFIX = '_rgb_anon.png', '_gt_labelTrainIds.png'
    VALID_MASK_SIZE = (1080, 1920)
    _published_split: str | None = None

    def _list_images(self) -> list[dict[str, Any]]:
        root, split = osp.split(osp.normpath(self.img_dir))
        is_published = not is_folder(self.img_dir) and is_folder(root)
        if is_published and _of_split(list_files(root, self.img_suffix).files, split):
            self._published_split, self.img_dir = split, root
            self.ann_dir = self.ann_dir and osp.dirname(osp.normpath(self.ann_dir))
        return super()._list_images()

    def find_names(self) -> list[str]:
        """In the layout of the publication those of the wanted split."""
        names = super().find_names()
        return names if self._published_split is None else _of_split(names, self._published_split)


def _of_split(names: list[str], split: str) -> list[str]:
    """Those of ``<condition>/<split>/...``."""
    return [name for name in names if name.split('/')[1:2] == [split]]
