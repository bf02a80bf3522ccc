"""What exceeds the memory is refused at the start, with the key whose number is the cause."""
from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine import Config

from mmseg.apis import load_config
from mmseg.config import memory
from mmseg.config.memory import GIB, check_memory, total_memory
from mmseg.errors import ConfigError
from tests.engine.tiny import tiny_config
from tools import train

ROOT = Path(__file__).parents[2]
MIT_B5 = ROOT / 'configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
CPU = torch.device('cpu')


@pytest.fixture
def cfg(monkeypatch: pytest.MonkeyPatch) -> Config:
    """DAFormer with MiT-B5, on a machine with 16 GiB."""
    monkeypatch.setattr(memory, 'total_memory', lambda device: 16 * GIB)
    return load_config(MIT_B5)


def changed(cfg: Config, key: str, value: Any) -> Config:
    """A copy with one more entry."""
    cfg = copy.deepcopy(cfg)
    *parents, last = key.split('.')
    node = cfg
    for name in parents:
        node = node[int(name) if name.isdigit() else name]
    node[last] = value
    return cfg


def test_the_published_training_is_accepted_at_once(cfg: Config) -> None:
    start = time.process_time()
    check_memory(cfg, CPU)
    assert time.process_time() - start < 2  # 0.25 s on a core of its own


@pytest.mark.parametrize('key, value', [
    ('data.samples_per_gpu', 10**6),
    ('data.train.source.pipeline.3.crop_size', (10**5, 10**5)),
    ('data.train.target.pipeline.6.size', (10**5, 10**5)),
    ('data.val.pipeline.1.img_scale', (10**5, 10**5)),
    ('data.val.pipeline.1.img_scale', [(1024, 512), (10**5, 10**5)]),
    ('model.backbone.embed_dims', (60000, ) * 4),
    ('model.backbone.depths', (3, 4, 6, 1000)),
    ('model.decode_head.channels', 60000),
    ('model.decode_head.decoder_params.fusion_cfg.kernel_size', 900),
])
def test_the_cause_is_named(cfg: Config, key: str, value: Any) -> None:
    if key.startswith('model.backbone'):
        cfg.model.backbone.type = 'MixVisionTransformer'
        cfg.model.decode_head.in_channels = [*value] if key.endswith('embed_dims') else [64, 128, 256, 512]
    if key.endswith('kernel_size'):
        cfg.model.decode_head.decoder_params.fusion_cfg = dict(type='conv')
    with pytest.raises(ConfigError) as refused:
        check_memory(changed(cfg, key, value), CPU)
    assert str(refused.value).startswith(f'{MIT_B5}: {key}: ') and 'this machine has 16' in str(refused.value)
    assert refused.value.key == key


def test_without_a_number_the_part_is_named(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, 'total_memory', lambda device: GIB // 2)
    with pytest.raises(ConfigError, match='model.backbone: a network of 8.52e.07 parameters with their gradients'):
        check_memory(cfg, CPU)


def test_validation_images_do_not_count_without_validation(cfg: Config) -> None:
    cfg = changed(cfg, 'data.val.pipeline.1.img_scale', (10**5, 10**5))
    cfg.evaluation = None
    check_memory(cfg, CPU)


def test_a_model_that_cannot_be_built_is_left_to_those_who_build_it(cfg: Config) -> None:
    check_memory(changed(cfg, 'model.decode_head.chanels', 3), CPU)


def test_the_training_refuses_before_it_reads_the_data(images: Path, tmp_path: Path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    with pytest.raises(ConfigError, match='data.samples_per_gpu: a batch of 1000000000 crops'):
        train.main([cfg.filename, '--options', 'data.samples_per_gpu=1000000000', 'data.train.img_dir=nowhere'])


def test_the_memory_of_the_machine() -> None:
    assert GIB // 4 < total_memory(CPU) < 2**50
    if torch.cuda.is_available():
        assert GIB < total_memory(torch.device('cuda')) < 2**50
