"""Every transform against pictures and numbers recorded from the original pipeline."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmseg.datasets.cityscapes import margin_mask
from mmseg.datasets.pipelines.colour import PhotoMetricDistortion, change_hue, change_saturation, convert
from mmseg.datasets.pipelines.transforms import Normalize, Pad, RandomCrop, RandomFlip, Resize, rescaled_size
from tests.parity import golden

pytestmark = pytest.mark.parity

NUMBER = r'(-?[\d.]+)'
NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def results() -> dict[str, Any]:
    img, label = (golden.recorded('pipeline.npz', name) for name in ('input_bgr_seed671', 'input_seg_seed672'))
    return dict(img=img, gt_semantic_seg=label, seg_fields=['gt_semantic_seg'])


def resized(width: str, height: str) -> dict[str, Any]:
    return Resize(img_scale=(int(width), int(height)))(results())


def flipped_and_normalised(width: str, height: str, pad_height: str | None, pad_width: str | None) -> dict[str, Any]:
    """The recording does not say what the coin of the flip showed: its label map does."""
    versions = []
    for flip in (False, True):
        out = Normalize(**NORM)(RandomFlip()(dict(resized(width, height), flip=flip)))
        versions.append(out if pad_height is None else Pad(size=(int(pad_height), int(pad_width)))(out))
    padded = f'_pad{pad_height}x{pad_width}' if pad_height else ''
    recorded = golden.recorded('pipeline.npz', f'resize{width}x{height}_flip_normalize{padded}/seg_u8')
    return max(versions, key=lambda out: (out['gt_semantic_seg'] == recorded).mean())


def cropped(size: str, seed: str) -> dict[str, Any]:
    """The recorded crops are of the picture resized to 256x144."""
    rng = np.random.RandomState(int(seed))
    return RandomCrop(crop_size=(int(size), int(size)), cat_max_ratio=0.75)(dict(resized('256', '144'), rng=rng))


def photometric(change: Callable[..., np.ndarray], *factors: float) -> dict[str, Any]:
    return dict(img=change(results()['img'], *factors))


PICTURES: dict[str, Callable[..., dict[str, Any]]] = {
    r'resize_(\d+)x(\d+)': resized,
    r'resize(\d+)x(\d+)_flip_normalize(?:_pad(\d+)x(\d+))?': flipped_and_normalised,
    r'randomcrop(\d+)_npseed(\d+)': cropped,
    rf'photometric/convert_alpha{NUMBER}(?:_beta{NUMBER})?_u8':
        lambda alpha, beta: photometric(convert, float(alpha), float(beta or 0)),
    rf'photometric/saturation_x{NUMBER}_u8': lambda factor: photometric(change_saturation, float(factor)),
    r'photometric/hue_(plus|minus)(\d+)_u8':
        lambda sign, steps: photometric(change_hue, int(steps) * (1 if sign == 'plus' else -1)),
}
FIELDS = {'img_bgr_u8': 'img', 'seg_u8': 'gt_semantic_seg', 'img_hwc_rgb': 'img', '': 'img'}


def split_picture(entry: str) -> tuple[str, str]:
    if entry.startswith('input_'):
        return 'inputs', entry
    name, _, field = entry.rpartition('/')
    name, field = (entry, '') if name == 'photometric' else (name, field)
    if field not in FIELDS or not any(re.fullmatch(pattern, name) for pattern in PICTURES):
        raise golden.UnknownName(entry)
    return name, field


@golden.cases('pipeline.npz', split=split_picture)
def test_pictures(case: golden.Case) -> None:
    if case.name == 'inputs':
        assert set(case.fields) == {'input_bgr_seed671', 'input_seg_seed672'}
        return
    made = next(make(*match.groups()) for pattern, make in PICTURES.items()
                if (match := re.fullmatch(pattern, case.name)))
    for field in case.fields:
        expected, actual = case.array(field), made[FIELDS[field]]
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        if field == 'img_hwc_rgb':
            np.testing.assert_allclose(actual, expected, atol=1e-5, rtol=0)
        elif field == 'img_bgr_u8':  # another OpenCV may round a few pixels differently
            difference = np.abs(actual.astype(int) - expected)
            assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
        else:
            np.testing.assert_array_equal(actual, expected)


def check_resize(expected: dict[str, Any], width: str, height: str) -> None:
    scale = (int(width), int(height))
    out = resized(width, height)
    assert set(expected) == {'img_shape', 'scale_factor'}
    assert list(out['img'].shape) == expected['img_shape'] == list(out['pad_shape'])
    assert out['scale_factor'].dtype == np.float32 and out['scale'] == scale
    np.testing.assert_allclose(out['scale_factor'], expected['scale_factor'], rtol=1e-6)


def check_rescaled_size(expected: dict[str, Any], height: str, width: str, *scale: str) -> None:
    height, width = int(height), int(width)
    assert list(rescaled_size(height, width, (int(scale[0]), int(scale[1])))) == expected.pop('out_hw')
    factor = min(max(map(int, scale)) / max(height, width), min(map(int, scale)) / min(height, width))
    assert factor == pytest.approx(expected.pop('factor'), rel=1e-12) and not expected


def check_margins(expected: int, margins: str, height: str, width: str) -> None:
    mask = margin_mask((int(height), int(width)), [int(m) for m in margins.split('_')])
    assert mask.sum() == expected and mask.dtype == np.uint8 and mask.max() == 1


def check_rescaled_margins(expected: int, width: str, height: str) -> None:
    recorded = next(match for name in golden.entries('pipeline.json') if (match := re.fullmatch(MARGINS, name)))
    mask = margin_mask((int(recorded[2]), int(recorded[3])), [int(m) for m in recorded[1].split('_')])
    image = np.zeros((*mask.shape, 3), np.uint8)
    out = Resize(img_scale=(int(width), int(height)))(dict(img=image, valid=mask, seg_fields=['valid']))
    assert out['valid'].sum() == expected and out['valid'].shape == (int(height), int(width))


def check_photometric_defaults(expected: dict[str, Any]) -> None:
    distortion = PhotoMetricDistortion()
    actual = dict(brightness_delta=distortion.brightness_delta, contrast=list(distortion.contrast_range),
                  saturation=list(distortion.saturation_range), hue_delta=distortion.hue_delta)
    assert actual == expected


def check_dtype(expected: str) -> None:
    assert str(Normalize(**NORM)(results())['img'].dtype) == expected


MARGINS = r'crop_pseudo_margins_([\d_]+)_at_(\d+)x(\d+)_ones'
NUMBERS: dict[str, Callable[..., None]] = {
    r'resize_(\d+)x(\d+)': check_resize,
    r'rescaled_size_(\d+)x(\d+)_to_scale_(\d+)x(\d+)': check_rescaled_size,
    MARGINS: check_margins,
    r'crop_pseudo_margins_after_rescale_(\d+)x(\d+)': check_rescaled_margins,
    'photometric_defaults': check_photometric_defaults,
    'normalize_dtype': check_dtype,
    'versions': lambda expected: None,
}


def split_number(entry: str) -> tuple[str, str]:
    if not any(re.fullmatch(pattern, entry) for pattern in NUMBERS):
        raise golden.UnknownName(entry)
    return entry, ''


@golden.cases('pipeline.json', split=split_number)
def test_numbers(case: golden.Case) -> None:
    expected = golden.read_json('pipeline.json')[case.name]
    for pattern, check in NUMBERS.items():
        if match := re.fullmatch(pattern, case.name):
            check(expected, *match.groups())
