"""Options that once trained something else, ended late or took the machine: each is refused by its key at the start."""
from __future__ import annotations

from pathlib import Path

import pytest

from mmseg.errors import ConfigError
from tests.engine.tiny import tiny_config
from tools import train as train_tool

UDA = dict(type='DACS', pseudo_threshold=0.9)
SOURCE = 'data.train.source.pipeline'
REFUSED = [
    # misspelt
    ('uda_.type', 'DACS'), ('uad.type', 'DACS'), ('UDA.type', 'DACS'), ('dat.samples_per_gpu', '2'), ('seod', '3'),
    ('evalution.interval', '2'), ('runer.max_iters', '2'), ('anp.dtype', 'bfloat16'),
    ('model.decode_head.chanels', '16'), ('model.backbone.depth', '3'),
    ('model.decode_head.loss_decode.loss_wieght', '2'), ('model.decode_head.decoder_params.embed_dimz', '32'),
    ('model.test_cfg.batched_slid', 'True'), ('uda.pseudo_treshold', '0.9'), ('optimizer.weigth_decay', '0.1'),
    # no number of the kind
    ('uda.pseudo_threshold', '1.5'), ('uda.pseudo_weight_ignore_bottom', '1000'),
    ('uda.color_jitter_probability', '7'), ('uda.alpha', '-1'), ('lr_config.warmup_ratio', '-0.5'),
    ('lr_config.min_lr', '1.0'), ('model.decode_head.loss_decode.loss_weight', '-1.0'),
    ('optimizer.paramwise_cfg.custom_keys.head.lr_mult', '-1.0'), ('optimizer.lr', '-1'), ('optimizer.lr', 'None'),
    (f'{SOURCE}.4.std', '[58.395,-57.12,57.375]'), (f'{SOURCE}.4.mean', '[None,0,0]'), (f'{SOURCE}.3.prob', '2'),
    ('data.val.pipeline.1.transforms.2.std', '[0,1,1]'), ('seed', '-1'), ('runner.max_iters', '[1,2]'),
    # text for a number or for a flag
    (f'{SOURCE}.2.crop_size', 'large'), ('model.decode_head.loss_decode.use_sigmoid', 'no'), ('optimizer.lr', '6e_5'),
    # found at the first evaluation only
    ('evaluation.save_best', 'miou'), ('evaluation.metric', 'iou'), ('evaluation.model', 'theacher'),
    # without bounds
    ('model.backbone.depths', '[1,1,1,1000000000]'), ('data.workers_per_gpu', '1000000000'),
    ('data.samples_per_gpu', '1000000000'), ('model.decode_head.channels', '1000000000'),
    ('runner.max_iters', '10000000000'), ('uda.pseudo_weight_ignore_top', str(10**30)),
    ('uda.imnet_feature_dist_lambda', str(10**30)), ('optimizer.lr', str(10**400)),
    # names
    ('log_level', 'DEBG'), ('resume_from', ' '), ('load_from', ' ')]


@pytest.fixture(scope='module')
def config(images: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    cfg = tiny_config(images, tmp_path_factory.mktemp('refused') / 'run', 2, uda=UDA, evaluation=dict(interval=2))
    return str(cfg.filename)


@pytest.mark.parametrize('key, value', REFUSED)
def test_an_option_that_makes_no_sense_is_refused_by_its_key(config: str, tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train_tool.main([config, '--work-dir', str(tmp_path / 'run'), '--options', f'{key}={value}'])
    section = key.partition('.')[0]
    assert f'{key}:' in str(caught.value) or f'{section}: no section of this name exists' in str(caught.value)
    assert not list((tmp_path / 'run').glob('*.pth'))
