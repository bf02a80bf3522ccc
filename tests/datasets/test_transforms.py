"""Transforms beyond what the recorded numbers show."""
from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config

from mmseg.datasets import build_dataset
from mmseg.datasets.pipelines import Compose
from mmseg.datasets.pipelines.colour import CLAHE, AdjustGamma, PhotoMetricDistortion, Rerange, RGB2Gray, convert
from mmseg.datasets.pipelines.transforms import Pad, RandomCrop, RandomFlip, RandomRotate, Resize, SegRescale
from mmseg.models.preprocess import prepare
from tests.datasets import scenes

DATASET_CONFIGS = Path(__file__).parents[2] / 'configs/_base_/datasets'


def picture(height: int = 40, width: int = 60, **extra):
    rng = np.random.RandomState(0)
    label = rng.randint(0, 19, (height // 4, width // 4)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    return dict(img=rng.randint(0, 256, (height, width, 3)).astype(np.uint8), gt_semantic_seg=label,
                seg_fields=['gt_semantic_seg'], rng=np.random.RandomState(1), **extra)


@pytest.mark.parametrize('arguments, sizes', [
    (dict(img_scale=(30, 20)), {(20, 30)}),
    (dict(img_scale=[30, 20]), {(20, 30)}),
    (dict(img_scale=[[30, 20], [60, 40]], multiscale_mode='value'), {(20, 30), (40, 60)}),
    (dict(img_scale=[(30, 20), (33, 22)]), {(20, 30), (21, 31), (21, 32), (22, 33)}),
    (dict(img_scale=(30, 20), ratio_range=(0.5, 1.0)), {(h, w) for w in range(15, 31) for h in range(10, 21)}),
    (dict(ratio_range=(0.5, 0.5)), {(20, 30)}),
    (dict(img_scale=(30, 30), keep_ratio=False), {(30, 30)}),
    (dict(img_scale=(1000, 20)), {(20, 30)}),
])
def test_sizes_after_resize(arguments, sizes) -> None:
    resize, results = Resize(**arguments), picture()
    seen = {resize(dict(results))['img'].shape[:2] for _ in range(40)}
    assert seen <= sizes and len(seen) > (1 if len(sizes) > 1 else 0)
    assert resize.random is (len(sizes) > 1 or 'ratio_range' in arguments)


def test_scale_that_is_set_wins_unless_overridden() -> None:
    assert Resize(img_scale=(30, 20))(picture(scale=(15, 10)))['img'].shape == (10, 15, 3)
    assert Resize(img_scale=(30, 20), override_scale=True)(picture(scale=(15, 10)))['img'].shape == (20, 30, 3)


def test_flip_probability_and_directions() -> None:
    flip, results = RandomFlip(prob=0.25), picture()
    assert np.mean([flip(dict(results))['flip'] for _ in range(2000)]) == pytest.approx(0.25, abs=0.03)
    for direction, view in (('horizontal', np.s_[:, ::-1]), ('vertical', np.s_[::-1]), ('diagonal', np.s_[::-1, ::-1])):
        out = RandomFlip(prob=1, direction=direction)(dict(results))
        assert out['flip_direction'] == direction
        for key in ('img', 'gt_semantic_seg'):
            np.testing.assert_array_equal(out[key], results[key][view])


def test_crop_avoids_boxes_of_one_class() -> None:
    label = np.zeros((64, 64), np.uint8)
    label[:, 56:] = 1
    label[56:] = 255
    results = dict(img=np.zeros((64, 64, 3), np.uint8), gt_semantic_seg=label, seg_fields=['gt_semantic_seg'])
    shares = {}
    for limit in (1.0, 0.75):
        crops = [RandomCrop((16, 16), cat_max_ratio=limit)(dict(results, rng=np.random.RandomState(i)))
                 for i in range(200)]
        shares[limit] = np.mean([len(set(np.unique(c['gt_semantic_seg'])) - {255}) > 1 for c in crops])
    assert shares[1.0] < 0.3 and shares[0.75] > 0.6


def test_crop_leaves_small_images_alone() -> None:
    out = RandomCrop((100, 32))(picture())
    assert out['img'].shape == (40, 32, 3) == out['img_shape']


def test_padding_is_not_to_be_trusted() -> None:
    results = picture(valid_pseudo_mask=np.ones((40, 60), np.uint8), img_shape=(40, 60, 3))
    results['seg_fields'].append('valid_pseudo_mask')
    out = Pad(size=(50, 64))(results)
    assert out['pad_shape'] == (50, 64, 3) and out['img_shape'] == (40, 60, 3)
    for key, value in (('img', 0), ('gt_semantic_seg', 255), ('valid_pseudo_mask', 0)):
        assert (out[key][40:] == value).all() and (out[key][:, 60:] == value).all()
    assert Pad(size_divisor=32)(picture())['img'].shape == (64, 64, 3)
    assert Pad(size=(8, 8))(picture())['img'].shape == (40, 60, 3)


def distort_slowly(image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """The same distortion pixel by pixel in float32, drawn in the same order."""
    def change(img, alpha=1.0, beta=0.0):
        return np.clip(img.astype(np.float32) * np.float32(alpha) + np.float32(beta), 0, 255).astype(np.uint8)

    def contrast(img):
        return change(img, alpha=rng.uniform(0.5, 1.5)) if rng.randint(2) else img

    if rng.randint(2):
        image = change(image, beta=rng.uniform(-32, 32))
    mode = rng.randint(2)
    image = contrast(image) if mode == 1 else image
    if rng.randint(2):
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = change(hsv[..., 1], alpha=rng.uniform(0.5, 1.5))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if rng.randint(2):
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + rng.randint(-18, 18)) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return contrast(image) if mode == 0 else image


@pytest.mark.parametrize('seed', range(12))
def test_photometric_distortion(seed) -> None:
    image = picture()['img']
    out = PhotoMetricDistortion()(dict(img=image, rng=np.random.RandomState(seed)))
    np.testing.assert_array_equal(out['img'], distort_slowly(image, np.random.RandomState(seed)))


def test_rotation_turns_image_and_label_alike() -> None:
    results = picture(41, 41)
    results['gt_semantic_seg'] = results['img'][..., 0]
    out = RandomRotate(prob=1, degree=(90, 90))(dict(results))
    np.testing.assert_array_equal(out['img'], np.rot90(results['img'], -1))
    np.testing.assert_array_equal(out['gt_semantic_seg'], out['img'][..., 0])
    out = RandomRotate(prob=1, degree=(45, 45))(dict(results))
    assert out['gt_semantic_seg'][0, 0] == 255 and (out['img'][0, 0] == 0).all()
    assert RandomRotate(prob=0, degree=90)(dict(results))['img'] is results['img']


def test_other_photometric_transforms() -> None:
    image = picture()['img']
    np.testing.assert_array_equal(AdjustGamma(2.0)(dict(img=image))['img'],
                                  ((image / 255.0) ** 0.5 * 255).astype(np.uint8))
    grey = RGB2Gray()(dict(img=image))['img']
    assert grey.shape == image.shape and (grey == grey[..., :1]).all()
    assert RGB2Gray(out_channels=1)(dict(img=image))['img'].shape == (*image.shape[:2], 1)
    stretched = Rerange(0, 1)(dict(img=image[:, :3] // 2))['img']
    assert stretched.dtype == np.float32 and stretched.min() == 0 and stretched.max() == pytest.approx(1)
    assert CLAHE()(dict(img=image))['img'].shape == image.shape
    assert SegRescale(0.25)(picture())['gt_semantic_seg'].shape == (10, 15)
    np.testing.assert_array_equal(convert(image, 2.0), np.minimum(image.astype(int) * 2, 255))


def compared(root, pipeline):
    dataset = build_dataset(scenes.game_cfg(root, pipeline=pipeline))
    return dataset.get(0, np.random.RandomState(5))


@pytest.mark.parametrize('crop', [(32, 32), (64, 112)])
def test_images_travel_as_uint8_and_mean_the_same(game, crop) -> None:
    """uint8 normalised on the device equals Normalize and Pad on the CPU, the padded area included."""
    pipeline = scenes.train_pipeline(crop=crop)
    early = copy.deepcopy(pipeline)
    early.insert(-2, lambda results: results)  # something between Normalize and the end: no deferral
    travelling, complete = compared(game, pipeline), compared(game, early)
    assert travelling['img'].dtype == torch.uint8 and complete['img'].dtype == torch.float32
    batch = prepare(dict(img=travelling['img'][None], img_metas=[travelling['img_metas']]), 'cpu')
    torch.testing.assert_close(batch['img'][0], complete['img'], atol=1e-5, rtol=0)
    assert torch.equal(travelling['gt_semantic_seg'], complete['gt_semantic_seg'])


@pytest.mark.parametrize('change', [
    lambda p: p.insert(6, dict(type='RandomFlip', prob=0.5)),  # after Normalize
    lambda p: p[6].update(pad_val=7),
    lambda p: p[0].update(to_float32=True),
])
def test_other_orders_travel_normalised(game, change) -> None:
    pipeline = scenes.train_pipeline()
    change(pipeline)
    sample = compared(game, pipeline)
    assert sample['img'].dtype == torch.float32 and -3 < sample['img'].min() < sample['img'].max() < 3


def test_the_fixed_part_can_be_used_again(game) -> None:
    """No transform changes an array in place."""
    pipeline = scenes.train_pipeline()
    pipeline.insert(5, dict(type='PhotoMetricDistortion'))
    dataset = build_dataset(scenes.game_cfg(game, pipeline=pipeline))
    prepared = dataset.prepare(0)
    before = copy.deepcopy(prepared)
    samples = [dataset.finish(prepared, np.random.RandomState(seed))['img'] for seed in (0, 1, 2, 0)]
    assert torch.equal(samples[0], samples[3]) and not torch.equal(samples[0], samples[1])
    for key in ('img', 'gt_semantic_seg'):
        np.testing.assert_array_equal(prepared[key], before[key])
    assert set(prepared) == set(before) and prepared['seg_fields'] == before['seg_fields']


def test_without_a_generator_numpys_global_stream_is_used() -> None:
    pipeline = Compose([dict(type='RandomCrop', crop_size=(8, 8)), dict(type='RandomFlip', prob=0.5)])
    results = picture()
    del results['rng']
    outs = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        outs.append(pipeline(dict(results))['img'])
    np.testing.assert_array_equal(outs[0], outs[1])
    assert not np.array_equal(outs[0], outs[2])


@pytest.mark.parametrize('file', sorted(DATASET_CONFIGS.glob('*.py')), ids=lambda file: file.stem)
def test_shipped_pipelines(file) -> None:
    """All of them can be built, and all training images travel as uint8."""
    data = Config.fromfile(file, lazy_import=False).data
    sections = [data.val, data.test, *(data.train.get(side) for side in ('source', 'target')), data.train]
    pipelines = [section.pipeline for section in sections if section and 'pipeline' in section]
    assert len(pipelines) >= 3
    for pipeline in map(Compose, pipelines):
        assert 'DeferredNormalize' in repr(pipeline) or 'MultiScaleFlipAug' in repr(pipeline)
        assert pipeline.num_fixed > 1
