"""The first transforms of a pipeline: read the image and its label map."""
from __future__ import annotations

import os.path as osp
from typing import Any

import numpy as np

from mmseg.datasets.errors import DataError
from mmseg.datasets.files import check_ids, read_image, read_label
from mmseg.registry import PIPELINES


@PIPELINES.register_module()
class LoadImageFromFile:
    """Read ``img_prefix/img_info['filename']`` into ``img``: [H, W, 3], blue, green, red.

    Args:
        to_float32: convert to float32 (range still 0 to 255).
        color_type: 'color' or 'grayscale'.
    """
    random = False

    def __init__(self, to_float32: bool = False, color_type: str = 'color') -> None:
        self.to_float32 = to_float32
        self.color_type = color_type

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results['img_info']['filename']
        prefix = results.get('img_prefix')
        path = osp.join(prefix, name) if prefix else name
        image = read_image(path, self.color_type)
        if self.to_float32:
            image = image.astype(np.float32)
        channels = 1 if image.ndim == 2 else image.shape[2]
        results.update(
            filename=path, ori_filename=name, img=image, img_shape=image.shape, ori_shape=image.shape,
            pad_shape=image.shape, scale_factor=1.0,
            img_norm_cfg=dict(mean=np.zeros(channels, np.float32), std=np.ones(channels, np.float32), to_rgb=False))
        return results


@PIPELINES.register_module()
class LoadAnnotations:
    """Read the label map into ``gt_semantic_seg``: uint8 [H, W], and name it in ``seg_fields``.

    The dataset says through ``results`` how many ids there are (``num_label_ids``, for the check), which id is
    ignored, and how ids are mapped when the config names a subset of the classes (``label_table``).

    Args:
        reduce_zero_label: id 0 becomes 255 and all others go down by one.
    """
    random = False

    def __init__(self, reduce_zero_label: bool = False) -> None:
        self.reduce_zero_label = reduce_zero_label

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results['ann_info']['seg_map']
        prefix = results.get('seg_prefix')
        path = osp.join(prefix, name) if prefix else name
        label = load_label(path, self.reduce_zero_label, results.get('num_label_ids'),
                           results.get('ignore_index', 255), results.get('label_table'))
        if 'img' in results and label.shape != results['img'].shape[:2]:
            raise DataError(f'label map {path} is {label.shape[1]}x{label.shape[0]} but image {results["filename"]} is '
                            f'{results["img"].shape[1]}x{results["img"].shape[0]}: they do not belong together, or one '
                            'of them was resized')
        results['gt_semantic_seg'] = label
        results.setdefault('seg_fields', []).append('gt_semantic_seg')
        return results


def load_label(path: str, reduce_zero_label: bool = False, num_ids: int | None = None, ignore_index: int = 255,
               table: np.ndarray | None = None) -> np.ndarray:
    """Read a label map, check its ids and map them to the class indices of the dataset.

    Args:
        path: label file.
        reduce_zero_label: id 0 becomes 255 and all others go down by one (before the check).
        num_ids: number of class ids in the file, None for no check.
        ignore_index: an id that is allowed beside 255.
        table: uint8 [256], from id to class index; None to keep the ids.

    Returns:
        uint8 [H, W].
    """
    label = read_label(path)
    if reduce_zero_label:
        label = np.where((label == 0) | (label == 255), np.uint8(255), label - np.uint8(1))
    if num_ids is not None:
        check_ids(label, num_ids, ignore_index, path)
    return label if table is None else table[label]
