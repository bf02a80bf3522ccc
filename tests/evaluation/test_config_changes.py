"""What the flags of tools/test.py change in a config."""
from __future__ import annotations

import pytest
from mmengine import Config

from mmseg.errors import ConfigError
from mmseg.evaluation import config_changes


def config(**test: object) -> Config:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', img_scale=(96, 64), flip=False)]
    return Config(dict(
        model=dict(type='EncoderDecoder', decode_head=dict(type='DAFormerHead'), test_cfg=dict(mode='whole')),
        data=dict(train=dict(type='UDADataset'), test=dict(dict(type='CityscapesDataset', pipeline=pipeline), **test)),
        crop_size=(512, 512)))


@pytest.mark.parametrize('before, after', [
    ('leftImg8bit/val', 'leftImg8bit/test'),
    ('rgb_anon/val/night/', 'rgb_anon/test/night/'),
    ('val', 'test'),
    ('C:\\acdc\\val\\fog', 'C:\\acdc\\test\\fog'),
    (['a/val', 'b/val'], ['a/test', 'b/test']),
])
def test_test_set_replaces_folders_called_val(before: object, after: object) -> None:
    cfg = config(img_dir=before)
    config_changes.use_test_set(cfg)
    assert cfg.data.test.img_dir == after


def test_test_set_leaves_parts_of_names_alone() -> None:
    cfg = config(data_root='data/carnival/', img_dir='val/validation', ann_dir='interval/val', split='lists/val.txt')
    config_changes.use_test_set(cfg)
    test = cfg.data.test
    assert test.data_root == 'data/carnival/' and test.img_dir == 'test/validation' and test.ann_dir == 'interval/test'
    assert test.split == 'lists/val.txt' and test.type == 'CityscapesDataset'
    assert test.pipeline[1].img_scale == (96, 64)


def test_test_set_without_a_val_folder_is_an_error() -> None:
    with pytest.raises(ConfigError, match='data.test.img_dir'):
        config_changes.use_test_set(config(img_dir='images/validation'))


def test_augmentation() -> None:
    cfg = config()
    config_changes.use_augmentation(cfg)
    assert cfg.data.test.pipeline[1].img_ratios == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75] and cfg.data.test.pipeline[1].flip


def test_augmentation_needs_its_step() -> None:
    cfg = config(pipeline=[dict(type='LoadImageFromFile')])
    with pytest.raises(ConfigError, match='MultiScaleFlipAug'):
        config_changes.use_augmentation(cfg)


def test_inference_modes() -> None:
    cfg = config()
    config_changes.set_inference_mode(cfg, 'slide')
    expected = dict(mode='slide', crop_size=(512, 512), stride=(256, 256), batched_slide=True)
    assert cfg.model.test_cfg == expected
    config_changes.set_inference_mode(cfg, 'same')
    assert cfg.model.test_cfg == expected
    config_changes.set_inference_mode(cfg, 'whole')
    assert cfg.model.test_cfg == dict(mode='whole')
    cfg.data.train.sync_crop_size = (256, 128)
    config_changes.set_inference_mode(cfg, 'slide')
    assert cfg.model.test_cfg.crop_size == (256, 128) and cfg.model.test_cfg.stride == (128, 64)


def test_slide_without_a_crop_size_is_an_error() -> None:
    cfg = config()
    cfg.pop('crop_size')
    with pytest.raises(ConfigError, match='crop_size'):
        config_changes.set_inference_mode(cfg, 'slide')


@pytest.mark.parametrize('output, key, value', [('LR', 'fixed_attention', 0.0), ('HR', 'fixed_attention', 1.0),
                                                ('ATT', 'debug_output_attention', True)])
def test_hrda_outputs(output: str, key: str, value: object) -> None:
    cfg = config()
    with pytest.raises(ConfigError, match='EncoderDecoder'):
        config_changes.set_hrda_output(cfg, output)
    cfg.model.type = 'HRDAEncoderDecoder'
    config_changes.set_hrda_output(cfg, output)
    assert cfg.model.decode_head[key] == value
