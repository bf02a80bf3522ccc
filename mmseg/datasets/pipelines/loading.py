"""The first transforms of a pipeline: read the image and its label map."""
from __future__ import annotations

import os.path as osp
from typing import Any

import numpy as np

from mmseg.datasets.files import read_image
from mmseg.datasets.label_format import LabelFormat
from mmseg.datasets.pairs import fitted
from mmseg.registry import PIPELINES
from mmseg.utils.kinds import NONE, one_of, whole

COLOR_TYPES = ('color', 'grayscale', 'unchanged')


def loaded(path: str, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What is known of an image that was just read, of ``shape`` [H, W, C] or [H, W]."""
    channels = 1 if len(shape) == 2 else shape[2]
    return dict(
        filename=path, ori_filename=name, img_shape=shape, ori_shape=shape, pad_shape=shape, scale_factor=1.0,
        img_norm_cfg=dict(mean=np.zeros(channels, np.float32), std=np.ones(channels, np.float32), to_rgb=False))


@PIPELINES.register_module()
class LoadImageFromFile:
    """Read ``img_prefix/img_info['filename']`` into ``img``: [H, W, 3], blue, green, red.

    Args:
        to_float32: convert to float32 (range still 0 to 255).
        color_type: 'color', 'grayscale', or 'unchanged' (channels and depth as in the file).
        bits: how many bits of 16 are used, 8 to 16; None: all.
    """
    OPTIONS = dict(color_type=one_of(COLOR_TYPES), bits=whole(8, 16) | NONE)
    random = False
    MAKES = ('img', )

    def __init__(self, to_float32: bool = False, color_type: str = 'color', bits: int | None = None) -> None:
        if color_type not in COLOR_TYPES:
            raise ValueError(f"color_type={color_type!r}: use one of {', '.join(map(repr, COLOR_TYPES))}")
        if bits is not None and bits not in range(8, 17):
            raise ValueError(f'bits={bits!r}: files of 16 bits use 8 to 16 of them')
        self.to_float32, self.color_type, self.bits = to_float32, color_type, bits

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read ``img_info['filename']`` below ``img_prefix`` into ``img``, blue channel first."""
        name = results['img_info']['filename']
        prefix = results.get('img_prefix')
        path = osp.join(prefix, name) if prefix else name
        image = read_image(path, self.color_type, self.bits)
        if self.to_float32:
            image = image.astype(np.float32)
        results.update(loaded(path, name, image.shape), img=image)
        return results


@PIPELINES.register_module()
class LoadAnnotations:
    """Read the label map into ``gt_semantic_seg``: uint8 [H, W], and name it in ``seg_fields``.

    The data set says through ``results['label_format']`` how to read it. A label map that is a few pixels larger or
    smaller than its image is resized to it.

    Args:
        reduce_zero_label: id 0 becomes 255 and all others go down by one; a data set has to say the same.
    """
    random = False
    MAKES = ('gt_semantic_seg', )

    def __init__(self, reduce_zero_label: bool | None = None) -> None:
        self.reduce_zero_label = bool(reduce_zero_label)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read ``ann_info['seg_map']`` below ``seg_prefix`` into ``gt_semantic_seg``."""
        name = results['ann_info']['seg_map']
        prefix = results.get('seg_prefix')
        path = osp.join(prefix, name) if prefix else name
        reader = results.get('label_format') or LabelFormat(reduce_zero_label=self.reduce_zero_label)
        label = reader.load(path)
        if 'img' in results:
            label = fitted(label, results['img'].shape[:2], path, results['filename'])
        results['gt_semantic_seg'] = label
        results.setdefault('seg_fields', []).append('gt_semantic_seg')
        return results
