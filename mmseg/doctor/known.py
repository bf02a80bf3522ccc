"""The data sets of the benchmarks as they are when nothing is missing."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmseg.registry import DATASETS
from mmseg.utils.commands import called


@dataclass(frozen=True)
class Known:
    """A published data set.

    Attributes:
        counts: number of images by split (the name of a folder); '' for one without splits.
        size: (width, height) of most images, None if they differ.
        below: folders between the split and the files.
        convert: name of the script in tools/convert_datasets that makes the label maps, if one is needed.
    """
    counts: Mapping[str, int]
    size: tuple[int, int] | None
    below: str = ''
    convert: str | None = None

    def count(self, img_dir: str) -> int | None:
        """How many images the folder should hold, None if its name is not known."""
        folders = img_dir.replace('\\', '/').split('/')
        return next((count for split, count in self.counts.items() if not split or split in folders), None)


KNOWN = {
    'CityscapesDataset': Known(dict(train=2975, val=500, test=1525), (2048, 1024), '<city>/', 'cityscapes'),
    'GTADataset': Known({'': 24966}, (1914, 1052), convert='gta'),
    'SynthiaDataset': Known({'': 9400}, (1280, 760), convert='synthia'),
    'ACDCDataset': Known(dict(train=1600, val=406, test=2000), (1920, 1080)),
    'MapillaryDataset': Known({}, None, convert='mapillary'),
    'DarkZurichDataset': Known(dict(train=2416, val=50, test=151), (1920, 1080), '<sequence>/'),
}


def expected_tree(section: Mapping[str, Any], labelled: bool) -> str:
    """The folders and file names that the section of a data set asks for, as a drawing.

    Args:
        section: a data set in a config.
        labelled: whether its labels are needed.
    """
    known, cls = KNOWN.get(section['type']), DATASETS.get(section['type'])
    below = known.below if known else ''
    branches = [('img_dir', 'img_suffix', 'IMG_SUFFIX')]
    if labelled:
        branches.append(('ann_dir', 'seg_map_suffix', 'SEG_MAP_SUFFIX'))
    lines = []
    for folder, suffix, default in branches:
        files = section.get(suffix) or getattr(cls, default, None) or ''
        for place in [section[folder]] if isinstance(section.get(folder), str) else section.get(folder) or []:
            lines.append(f'{place.rstrip("/")}/{below}*{files}')
    if isinstance(section.get('split'), str):
        lines.append(section['split'])
    drawn = [f'{"└" if line is lines[-1] else "├"}── {line}' for line in lines]
    return '\n'.join([(section.get('data_root') or '.').rstrip('/'), *drawn])


def conversion(section: Mapping[str, Any]) -> str:
    """How the label maps of a data set are made."""
    known = KNOWN.get(section['type'])
    if known is None or known.convert is None:
        return 'label maps hold class ids from 0 on, and 255 (docs/datasets.md, docs/how-to/own_data.md)'
    converter = called(f'convert {known.convert}', f'convert_datasets.{known.convert}')
    return f'{converter} {section.get("data_root") or "FOLDER"}'
