"""A folder of images and a folder of label maps; the parent of all data sets on disk."""
from __future__ import annotations

import copy
import os
import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmseg.datasets.base import SampledDataset
from mmseg.datasets.files import read_header
from mmseg.datasets.kinds import STEPS
from mmseg.datasets.label_format import LabelFormat, Meaning, id_table
from mmseg.datasets.pairs import fitted
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.pipelines.label_values import agreed
from mmseg.datasets.sample_cache import SampleCache
from mmseg.datasets.storage import by_stem, is_folder, is_packed, list_files, read_text
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from mmseg.utils.kinds import LABEL, NAMES, NONE, list_of

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')
MASK_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff', '.gif')  # without loss


def _joined(root: str | None, path: str) -> str:
    return path if root is None or osp.isabs(path) else osp.join(root, path)


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """The names themselves, or the lines of the text file that ``classes`` names."""
    if not isinstance(classes, str):
        return tuple(classes)
    return tuple(line.strip() for line in read_text(classes, 'classes').splitlines() if line.strip())


@DATASETS.register_module()
class CustomDataset(SampledDataset):
    """Images below ``img_dir``; the label map of ``a/b<img_suffix>`` is ``ann_dir/a/b<seg_map_suffix>``.

    Folders may lie in a zip archive (``data_root='data/x.zip'``, see :mod:`mmseg.datasets.archives`). Labels are read
    there as they are published, if the class knows how (``ORIGINAL_LABELS``).

    Args:
        pipeline: transforms; the first ones load the image and, if wanted, the label map.
        img_dir: folder of the images.
        img_suffix: end of the image names, extension included; None: that of the class.
        seg_map_suffix: end that the label map of an image has instead; None: that of the class.
        ann_dir: folder of the label maps.
        split: text file with one image per line, path below ``img_dir`` without suffix; None for all images.
        data_root: what the relative paths above start from; may be a zip file or several (``'data/gta/*.zip'``).
        test_mode: no label map is loaded by ``__getitem__``; the program sets it.
        ignore_index: label id that counts as unlabelled (beside 255, which it becomes when files are read).
        reduce_zero_label: id 0 is unlabelled and all others go down by one.
        classes: subset (or new order) of the class names, or a text file of them; other classes are ignored.
        palette: one (red, green, blue) per class.

    Attributes:
        img_infos: per image ``dict(filename=..., ann=dict(seg_map=...))``, relative to ``img_dir`` and ``ann_dir``.
        left_out: files in ``img_dir`` that are no images of this data set, by their names.
        label_format: how label files are read, see :class:`~mmseg.datasets.label_format.LabelFormat`.

    Raises:
        DataError: if a folder or the split file is missing, no image is found, or pipeline and data set contradict each
            other in what labels mean.
    """
    OPTIONS = dict(
        pipeline=STEPS, img_dir=NAMES, ann_dir=NAMES | NONE, split=NAMES | NONE, ignore_index=LABEL,
        palette=list_of(list_of(LABEL, 3)) | NONE)
    IMG_SUFFIX, SEG_MAP_SUFFIX = '.jpg', '.png'
    ORIGINAL_LABELS: tuple[str, Meaning] | None = None  # suffix of label maps as published, and what their ids are

    def __init__(self, pipeline: Sequence[dict[str, Any]], img_dir: str, img_suffix: str | None = None,
                 ann_dir: str | None = None, seg_map_suffix: str | None = None, split: str | None = None,
                 data_root: str | None = None, test_mode: bool = False, ignore_index: int = 255,
                 reduce_zero_label: bool = False, classes: str | Sequence[str] | None = None,
                 palette: Sequence[Sequence[int]] | None = None) -> None:
        self.data_root = data_root
        self.img_dir = _joined(data_root, img_dir)
        self.ann_dir = None if ann_dir is None else _joined(data_root, ann_dir)
        self.split = None if split is None else _joined(data_root, split)
        self.img_suffix = img_suffix if img_suffix is not None else self.IMG_SUFFIX
        self.seg_map_suffix = seg_map_suffix if seg_map_suffix is not None else self.SEG_MAP_SUFFIX
        self.test_mode = test_mode
        self.ignore_index = ignore_index
        self.reduce_zero_label = reduce_zero_label
        self.label_format = self._choose_format(self._choose_classes(classes, palette))
        self.pipeline = Compose(agreed(pipeline, type(self).__name__, self.label_format))
        self.img_infos = self._list_images()
        self._cache: SampleCache | None = None
        self._label_key: str | None = None

    def _choose_classes(self, classes: str | Sequence[str] | None, palette: Sequence[Sequence[int]] | None
                        ) -> np.ndarray | None:
        """Set CLASSES and PALETTE; returns the table from label id to class index, if ``classes`` chose some."""
        own, own_palette = type(self).CLASSES, type(self).PALETTE
        table = None
        if classes is not None:
            self.CLASSES = class_names(classes)
            if own is not None:
                unknown = sorted(set(self.CLASSES) - set(own))
                if unknown:
                    raise DataError(f'{type(self).__name__} has no classes {unknown}; it has {list(own)}')
                table = id_table({own.index(name): i for i, name in enumerate(self.CLASSES)})
                own_palette = own_palette and [own_palette[own.index(name)] for name in self.CLASSES]
        if self.CLASSES is not None:
            random = np.random.RandomState(42).randint(0, 256, (len(self.CLASSES), 3)).tolist()
            self.PALETTE = [list(colour) for colour in palette or own_palette or random]
        return table

    def _choose_format(self, table: np.ndarray | None) -> LabelFormat:
        """How label files are read; in an archive without converted labels the published ones are."""
        known, original = type(self).CLASSES or self.CLASSES, None
        if self.ORIGINAL_LABELS and self.ann_dir and is_packed(self.ann_dir):
            suffix, ids = self.ORIGINAL_LABELS
            if not list_files(self.ann_dir, self.seg_map_suffix).files and list_files(self.ann_dir, suffix).files:
                self.seg_map_suffix, original = suffix, ids
        return LabelFormat(len(known) if known else None, self.ignore_index, self.reduce_zero_label, original,
                           chosen=table)

    def _list_images(self) -> list[dict[str, Any]]:
        if not is_folder(self.img_dir):
            raise DataError(f'{type(self).__name__}: img_dir {self.img_dir} does not exist (data_root is '
                            f'{self.data_root}, the working directory {os.getcwd()})')
        self._images, self.left_out = by_stem(self.img_dir, self.img_suffix or IMAGE_SUFFIXES, 'img_suffix')
        self._labels: dict[str, str] = {}
        if self.ann_dir is not None and is_folder(self.ann_dir):
            self._labels, _ = by_stem(self.ann_dir, self.seg_map_suffix or MASK_SUFFIXES, 'seg_map_suffix')
        if self.split is None:
            names = self.find_names()
        elif osp.isfile(self.split):
            lines = (line.strip().replace('\\', '/') for line in read_text(self.split, 'split').splitlines())
            names = [line for line in lines if line]
        else:
            raise DataError(f'{type(self).__name__}: the split file {self.split} does not exist')
        if not names:
            where = self.split or f'{self.img_dir} (files that end in {self.img_suffix or ".jpg, .png, ..."}; ' \
                f'{len(self.left_out)} others)'
            raise DataError(f'{type(self).__name__}: no image in {where}')
        return [{'filename': self.image_name(name), 'ann': {'seg_map': self.label_name(name)}} for name in names]

    def find_names(self) -> list[str]:
        """Paths below ``img_dir``, without suffix, of the images to use; in the order of the files' names."""
        return list(self._images)

    def image_name(self, name: str) -> str:
        """Path below ``img_dir`` of an image, which is given as :meth:`find_names` gives it."""
        return self._images.get(name, name + self.img_suffix)

    def label_name(self, name: str) -> str | None:
        """Path below ``ann_dir`` of the label map of an image, which is given as :meth:`find_names` gives it; None:
        there is none."""
        return self._labels.get(name, name + self.seg_map_suffix)

    def __len__(self) -> int:
        return len(self.img_infos)

    def describe(self, idx: int) -> dict[str, Any]:
        """What the first transform of the pipeline gets for image ``idx``."""
        info = self.img_infos[idx]
        results: dict[str, Any] = dict(img_info=info, img_prefix=self.img_dir, seg_fields=[])
        if not self.test_mode:
            results.update(ann_info=info['ann'], seg_prefix=self.ann_dir, label_format=self.label_format)
        if self._label_key is not None:
            results[self._label_key] = self.label(idx)
            results['seg_fields'].append(self._label_key)
        return results

    def prepare(self, idx: int) -> dict[str, Any]:
        """Run the pipeline up to its first random transform: read, decode, resize."""
        if self._cache is not None:
            return self.pipeline.prepare(self._cache.load(self, idx), self._cache.num_steps)
        return self.pipeline.prepare(self.describe(idx))

    def use_cache(self, folder: str) -> None:
        """Take what :func:`~mmseg.datasets.sample_cache.write_cache` kept instead of reading and resizing images.

        Raises:
            DataError: if there is no cache of these files and settings.
        """
        self._cache = SampleCache(self, folder)

    def finish(self, prepared: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
        """Run the rest of the pipeline on what :meth:`prepare` returned (which can be used again)."""
        return self.pipeline.finish(prepared, rng)

    def get(self, idx: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Sample ``idx``: ``img`` [3, H, W], ``gt_semantic_seg`` uint8 [1, H, W], ``img_metas``; lists in test mode."""
        return self.finish(self.prepare(idx), rng)

    @property
    def has_labels(self) -> bool:
        """Whether the config names a folder of label maps."""
        return self.ann_dir is not None

    def _label_folder(self) -> str:
        """``ann_dir``, which has to be there."""
        if self.ann_dir is None:
            raise DataError(f'{type(self).__name__} of {self.img_dir} has no ann_dir: there are no labels')
        return self.ann_dir

    def label_path(self, idx: int) -> str:
        """Where the label map of image ``idx`` lies."""
        return osp.join(self._label_folder(), self.img_infos[idx]['ann']['seg_map'])

    def image_path(self, idx: int) -> str:
        """Where image ``idx`` lies."""
        return osp.join(self.img_dir, self.img_infos[idx]['filename'])

    def label(self, idx: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """See the parent class.

        Raises:
            DataError: if there is no label map, it holds an unknown id, or its size is far from ``size``.
        """
        path = self.label_path(idx)
        label = self.label_format.load(path)
        return label if size is None else fitted(label, size, path, self.image_path(idx))

    @property
    def stats_folder(self) -> str:
        """Where the class statistics lie: in ``data_root``, or beside the archives that hold the data.

        Formats that make other classes of the same files have a folder below it each.
        """
        root = self.data_root or self._label_folder()
        folder = f"{root.replace('*', 'all')}.class_stats" if is_packed(root) else root
        return folder if self.label_format.is_plain else f'{folder}/class_stats_{self.label_format.key}'

    def get_gt_seg_maps(self) -> Iterator[np.ndarray]:
        """All label maps, one at a time, in the order of the images."""
        return (self.label(idx) for idx in range(len(self)))

    def without_labels(self) -> CustomDataset:
        """A copy that reads no label map unless its crops depend on them; samples are otherwise the same."""
        other = copy.copy(self)
        other.pipeline = self.pipeline.without_labels()
        return other

    def with_labels_as(self, key: str) -> CustomDataset:
        """See the parent class. The first pair is looked at, so that a wrong folder shows at once."""
        folder, there = self._label_folder(), set(self._labels.values())
        missing = [idx for idx, info in enumerate(self.img_infos) if info['ann']['seg_map'] not in there]
        if missing:
            raise DataError(f'{len(missing)} of {len(self)} images in {self.img_dir} have no label map in {folder}, '
                            f'such as {self.image_path(missing[0])}')
        header = read_header(self.image_path(0))
        self.label(0, (header.height, header.width))
        other = copy.copy(self)
        other.pipeline, other._label_key = self.pipeline.collecting(key), key
        return other
