"""What the flags of tools/test.py and tools/predict.py change in a config."""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmengine import Config

from mmseg.datasets.sections import walk
from mmseg.errors import ConfigError

AUG_RATIOS = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
HRDA_OUTPUTS = {'LR': {'fixed_attention': 0.0}, 'HR': {'fixed_attention': 1.0}, 'ATT': {'debug_output_attention': True}}


def _steps(cfg: Config) -> Iterator[dict[str, Any]]:
    """The MultiScaleFlipAug steps of the test pipeline."""
    pipelines = [place.section.get('pipeline', ()) for place in walk(cfg.data.test, 'data.test')]
    steps = [step for pipeline in pipelines for step in pipeline if step['type'] == 'MultiScaleFlipAug']
    if not steps:
        raise ConfigError('--aug-test needs a MultiScaleFlipAug step in data.test.pipeline')
    yield from steps


def use_augmentation(cfg: Config) -> None:
    """Average the predictions over six scales and their mirror images."""
    for step in _steps(cfg):
        step['img_ratios'], step['flip'] = AUG_RATIOS, True


def use_test_set(cfg: Config) -> None:
    """Read the test split: in every path of ``data.test`` the folders called 'val' become 'test'.

    Raises:
        ConfigError: if there is no such folder.
    """
    before = str(cfg.data.test)
    cfg.data.test = _on_test_split(cfg.data.test)
    if str(cfg.data.test) == before:
        raise ConfigError("--test-set: no path of data.test has a folder 'val' that could become 'test'; set "
                         'data.test.img_dir with --options instead')


def _on_test_split(value: Any) -> Any:
    if isinstance(value, str):
        return ''.join('test' if part == 'val' else part for part in re.split(r'([/\\])', value))
    if isinstance(value, dict):
        return type(value)({key: item if key == 'pipeline' else _on_test_split(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(_on_test_split(item) for item in value)
    return value


def set_inference_mode(cfg: Config, mode: str) -> None:
    """Predict as the config says ('same'), on whole images ('whole'), or in windows of the crop size ('slide').

    Windows overlap by half and are predicted as one batch.

    Raises:
        ConfigError: for 'slide' if the config names no crop size.
    """
    if mode == 'whole':
        cfg.model.test_cfg = dict(mode='whole')
    elif mode == 'slide':
        crop = cfg.data.train.get('sync_crop_size') or cfg.get('crop_size')
        if crop is None:
            raise ConfigError('--inference-mode slide takes the window from data.train.sync_crop_size or the top-level '
                             'crop_size, the config has neither: add --options crop_size="(512,512)"')
        stride = tuple(side // 2 for side in crop)
        cfg.model.test_cfg = dict(mode='slide', crop_size=tuple(crop), stride=stride, batched_slide=True)


def batch_windows(cfg: Config) -> None:
    """Predict all sliding windows of an image in one batch.

    Raises:
        ConfigError: if the config predicts whole images.
    """
    if cfg.model.test_cfg.mode != 'slide':
        raise ConfigError('--batch-windows: the config predicts whole images (model.test_cfg.mode), there are no '
                          'windows to batch')
    cfg.model.test_cfg.batched_slide = True


def set_hrda_output(cfg: Config, output: str) -> None:
    """Have HRDA return its low-resolution prediction ('LR'), the detail prediction ('HR') or its attention ('ATT').

    Raises:
        ConfigError: if the model is not HRDA.
    """
    if not output:
        return
    if cfg.model.type != 'HRDAEncoderDecoder':
        raise ConfigError(f'--hrda-out {output}: the model is a {cfg.model.type}, only an HRDAEncoderDecoder has '
                         'low-resolution, high-resolution and attention outputs')
    cfg.model.decode_head.update(HRDA_OUTPUTS[output])
