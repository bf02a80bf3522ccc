"""ResNeSt: standard tests, agreement with timm's network, small batches."""
from __future__ import annotations

import pytest
import timm
import torch

from mmseg.models import build_backbone
from tests.models.base_backbone import images
from tests.models.test_resnet import D8, TINY, ResNetTests, check_agreement


class TestResNeSt(ResNetTests):
    cfg = dict(type='ResNeSt', depth=50, **TINY)


class TestResNeStDilatedWithGroups(ResNetTests):
    cfg = dict(type='ResNeSt', depth=50, radix=3, groups=2, base_width=12, reduction_factor=2, **TINY, **D8)
    strides = (4, 8, 8, 8)


class TestResNeStWithOneSplit(ResNetTests):
    cfg = dict(type='ResNeSt', depth=50, radix=1, avg_down_stride=False, **TINY)


def test_agrees_with_timm() -> None:
    check_agreement(dict(type='ResNeSt', depth=50), timm.create_model('resnest50d'))


def test_groups_and_splits_agree_with_timm() -> None:
    cfg = dict(type='ResNeSt', depth=50, groups=2, base_width=40, radix=4)
    check_agreement(cfg, timm.create_model('resnest50d_4s2x40d'))


@pytest.mark.parametrize('depth', [101, 200])
def test_published_shapes(depth: int) -> None:
    with torch.device('meta'):
        backbone = build_backbone(dict(type='ResNeSt', depth=depth, stem_channels=128))
        reference = timm.create_model(f'resnest{depth}e')
    expected = [v.shape for k, v in reference.state_dict().items() if not k.startswith('fc.')]
    assert [v.shape for v in backbone.state_dict().values()] == expected


def test_training_on_one_image_names_the_remedy() -> None:
    backbone = build_backbone(TestResNeSt.cfg)
    with pytest.raises(ValueError, match='(?s)at least two images.*samples_per_gpu.*norm_eval'):
        backbone(images(batch=1))
    assert backbone.eval()(images(batch=1))[-1].shape[0] == 1
