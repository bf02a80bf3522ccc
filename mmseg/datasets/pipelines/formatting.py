"""The last transforms of a pipeline: to tensors, and choose what travels."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg.errors import DataError
from mmseg.registry import PIPELINES

META_KEYS = ('filename', 'ori_filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip',
             'flip_direction', 'img_norm_cfg')
_META_DEFAULTS = {'flip': False, 'flip_direction': 'horizontal'}  # of pipelines without RandomFlip


def image_to_tensor(image: np.ndarray) -> Tensor:
    """[H, W, C] or [H, W] array to a contiguous [C, H, W] tensor of the same type."""
    return torch.from_numpy(np.stack(cv2.split(image)))


@PIPELINES.register_module()
class ImageToTensor:
    """[H, W, C] arrays to [C, H, W] tensors of the same type.

    Args:
        keys: the entries to convert.
    """
    random = False

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Convert the entries."""
        for key in self.keys:
            results[key] = image_to_tensor(results[key])
        return results


@PIPELINES.register_module()
class DefaultFormatBundle:
    """Make tensors: ``img`` [C, H, W] uint8 or float32, segmentation fields [1, H, W] uint8."""
    random = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Convert ``img`` and the segmentation fields, which have to be of one size (else DataError)."""
        size = results['img'].shape[:2]
        for key in results.get('seg_fields', []):
            field = results[key]
            if field.shape != size:
                raise DataError(f'{key} is {field.shape[1]}x{field.shape[0]} but the image is {size[1]}x{size[0]} '
                                f'({results.get("filename")}): add a Resize to the pipeline')
            results[key] = torch.from_numpy(np.ascontiguousarray(field)).unsqueeze(0)
        results['img'] = image_to_tensor(results['img'])
        return results


@PIPELINES.register_module()
class Collect:
    """Keep ``keys`` and gather ``meta_keys`` in the dict ``img_metas``; the rest is dropped.

    Args:
        keys: entries that travel.
        meta_keys: entries of ``img_metas``.
    """
    random = False

    def __init__(self, keys: Sequence[str], meta_keys: Sequence[str] = META_KEYS) -> None:
        self.keys = tuple(keys)
        self.meta_keys = tuple(meta_keys)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """A new dict with what travels; DataError if something is not there."""
        results = {**_META_DEFAULTS, **results}
        missing = [key for key in (*self.keys, *self.meta_keys) if key not in results]
        if missing:
            raise DataError(f'Collect wants {missing}, which no transform before it made')
        metas = {key: results[key] for key in self.meta_keys}
        return {'img_metas': metas, **{key: results[key] for key in self.keys}}

    def without(self, key: str) -> Collect:
        """The same without ``key``."""
        return Collect([k for k in self.keys if k != key], self.meta_keys)

    def and_also(self, key: str) -> Collect:
        """The same with ``key``."""
        return Collect(list(dict.fromkeys([*self.keys, key])), self.meta_keys)
