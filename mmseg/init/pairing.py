"""Which mask belongs to which image, whatever both are called at the end."""
from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmseg.datasets.custom import IMAGE_SUFFIXES, MASK_SUFFIXES
from mmseg.datasets.storage import by_stem, is_folder, list_files
from mmseg.doctor.survey import named
from mmseg.errors import DataError

ENDS = re.compile(r'[-_.]')  # where the end of a name may begin


@dataclass(frozen=True)
class Folder:
    """Images, and masks of them or of a part.

    Attributes:
        img_dir, ann_dir: as the user names them; no ``ann_dir``: no masks.
        img_suffix, seg_map_suffix: what the names end in; '': in any known extension.
        images, masks: file below the folder, by its name without that end.
    """
    img_dir: str
    ann_dir: str | None
    images: dict[str, str]
    masks: dict[str, str]
    img_suffix: str = ''
    seg_map_suffix: str = ''

    @property
    def paired(self) -> list[str]:
        """Names of images with a mask."""
        return sorted(self.images.keys() & self.masks.keys())

    @property
    def unpaired(self) -> list[str]:
        """Names of images without one."""
        return sorted(self.images.keys() - self.masks.keys())

    def image(self, name: str) -> str:
        """Path of an image."""
        return os.path.join(self.img_dir, self.images[name])

    def mask(self, name: str) -> str:
        """Path of its mask."""
        return os.path.join(self.ann_dir or '', self.masks[name])


def find_pairs(img_dir: str, ann_dir: str | None = None) -> Folder:
    """The images of a folder and their masks, which have the same path up to an end: ``1_rgb.png``, ``1_mask.png``.

    Raises:
        DataError: if a folder does not exist or holds no such files, no mask belongs to any image, or several belong to
            each.
    """
    for folder in filter(None, (img_dir, ann_dir)):
        if not is_folder(folder):
            raise DataError(f'the folder {folder} does not exist in {os.getcwd()}')
    files = _files(img_dir, IMAGE_SUFFIXES, 'image')
    if ann_dir is None:
        return Folder(img_dir, None, by_stem(img_dir, IMAGE_SUFFIXES, 'img_suffix')[0], {})
    mask_files = _files(ann_dir, MASK_SUFFIXES, 'mask (masks are stored without loss)')
    stems, mask_stems = ({os.path.splitext(file)[0] for file in found} for found in (files, mask_files))
    if len(stems & mask_stems) == min(len(stems), len(mask_stems)):
        return Folder(img_dir, ann_dir, by_stem(img_dir, IMAGE_SUFFIXES, 'img_suffix')[0],
                      by_stem(ann_dir, MASK_SUFFIXES, 'seg_map_suffix')[0])
    img_suffix, seg_map_suffix = _ends(files, mask_files, img_dir, ann_dir)
    return Folder(img_dir, ann_dir, by_stem(img_dir, img_suffix, 'img_suffix')[0],
                  by_stem(ann_dir, seg_map_suffix, 'seg_map_suffix')[0], img_suffix, seg_map_suffix)


def _files(folder: str, suffixes: tuple[str, ...], what: str) -> list[str]:
    listing = list_files(folder, suffixes)
    if not listing.files:
        others = f'; it holds {named(listing.left_out, 3)}' if listing.left_out else ', it is empty'
        raise DataError(f'{folder} holds no {what}: names end in {" ".join(suffixes)}{others}')
    return listing.files


def _cuts(file: str) -> Iterator[tuple[str, str]]:
    """Each way to part a path into name and end; the end begins with '-', '_' or '.'."""
    start = file.rfind('/') + 1
    for match in ENDS.finditer(file, start + 1):
        yield file[:match.start()], file[match.start():]


def _ends(files: Sequence[str], mask_files: Sequence[str], img_dir: str, ann_dir: str) -> tuple[str, str]:
    """What images and masks end in so that most of them belong together, the shortest ends of these."""
    masks: dict[str, list[str]] = defaultdict(list)
    for file in mask_files:
        for name, end in _cuts(file):
            masks[name].append(end)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for file in files:
        for name, end in _cuts(file):
            for mask_end in masks.get(name, ()):
                counts[end, mask_end] += 1
    if not counts:
        raise DataError(f'no image in {img_dir} has a mask in {ann_dir}: they have the same path up to the end '
                        f'(north/1_rgb.jpg and north/1_mask.png), found are {named(files, 3)} and '
                        f'{named(mask_files, 3)}: rename them, or name other folders')
    best = max(counts.values())
    found = sorted((pair for pair, count in counts.items() if count == best), key=lambda pair: len(''.join(pair)))
    image_end, mask_end = found[0]
    rivals = [end for image, end in found if image == image_end and not end.endswith(mask_end)]
    if rivals:
        kinds = named([f'*{end}' for end in sorted({mask_end, *rivals})])
        raise DataError(f'{ann_dir} holds several masks of each image ({kinds}): move those to use into a folder of '
                        'their own, or link them there')
    return image_end, mask_end
