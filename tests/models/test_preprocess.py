"""Batch preparation on the device."""
from __future__ import annotations

import numpy as np
import torch

from mmseg.models.preprocess import image_constants, prepare

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def batch() -> dict:
    rng = np.random.RandomState(0)
    sizes = [(30, 50), (32, 40)]
    img = torch.from_numpy(rng.randint(0, 256, (2, 3, 32, 50)).astype(np.uint8))
    metas = [dict(img_shape=(*size, 3), pad_shape=(32, 50, 3), img_norm_cfg=NORM) for size in sizes]
    return dict(img=img, img_metas=metas, target_img=img.flip(0), target_img_metas=metas[::-1],
                gt_semantic_seg=torch.from_numpy(rng.randint(0, 19, (2, 1, 32, 50)).astype(np.uint8)),
                valid_pseudo_mask=torch.ones(2, 1, 32, 50, dtype=torch.uint8), classes=np.arange(19))


def test_uint8_images_become_what_the_float_pipeline_makes() -> None:
    raw = batch()
    ready = prepare(raw, 'cpu')
    mean, std = (np.array(NORM[key], np.float64)[:, None, None] for key in ('mean', 'std'))
    for i, meta in enumerate(raw['img_metas']):
        height, width = meta['img_shape'][:2]
        expected = (raw['img'][i].numpy() - mean) / std
        np.testing.assert_allclose(ready['img'][i, :, :height, :width], expected[:, :height, :width], atol=1e-5)
    assert torch.equal(ready['target_img'], ready['img'].flip(0))


def test_padding_is_zero_after_normalisation() -> None:
    img = prepare(batch(), 'cpu')['img']
    assert not img[0, :, 30:].any() and not img[1, :, :, 40:].any()
    assert img[0, :, :30].all(dim=0).any()


def test_types_and_shapes() -> None:
    raw = batch()
    ready = prepare(raw, 'cpu')
    assert ready['img'].dtype == ready['valid_pseudo_mask'].dtype == torch.float32
    assert ready['gt_semantic_seg'].dtype == torch.int64
    assert ready['gt_semantic_seg'].shape == ready['valid_pseudo_mask'].shape == (2, 32, 50)
    assert ready['classes'] is raw['classes']
    assert raw['img'].dtype == torch.uint8  # the batch that came in stays as it was


def test_preparing_twice_changes_nothing() -> None:
    once = prepare(batch(), 'cpu')
    twice = prepare(once, 'cpu')
    assert all(torch.equal(once[k], twice[k]) for k, v in once.items() if isinstance(v, torch.Tensor))


def test_constants_are_made_once_per_device() -> None:
    mean, std = image_constants(NORM, torch.device('cpu'))
    assert mean.shape == std.shape == (1, 3, 1, 1)
    assert image_constants(NORM, torch.device('cpu'))[0] is mean
