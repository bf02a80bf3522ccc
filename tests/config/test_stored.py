"""The config that lies in a checkpoint: its text is read as data, and says how to predict."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg.config.reading import load_config
from mmseg.config.stored import prediction_config
from mmseg.errors import ConfigError
from mmseg.utils.config_text import format_config, read_config_text

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('name', ['daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py',
                                  'mic/gtaHR2csHR_mic_hrda.py', 'demo/daformer.py'])
def test_published_configs_come_back_from_their_text(name: str) -> None:
    cfg = load_config(CONFIGS / name)
    content = cfg.to_dict()
    assert read_config_text(format_config(content)) == content
    assert read_config_text(Config(content).pretty_text) == content  # as the original programs wrote it
    kept = prediction_config(content).to_dict()
    assert set(kept) == {'model', 'data'} and kept['data'] == dict(test=content['data']['test'])
    assert kept['model'] == {**content['model'], 'pretrained': None, 'train_cfg': None}


def test_values_that_are_no_plain_literals() -> None:
    content = dict(a=float('inf'), b=-1, c=(1, ), d={'x.y': [None, True]}, e=float('-inf'), f=dict(g=()))
    assert read_config_text(format_config(content)) == content


@pytest.mark.parametrize('text', ['a = b', 'a = dict(1)', 'a = dict(**{})', 'a = {**{}}', 'a = float(input())',
                                  'a, b = 1, 2', 'a = f"{1}"', 'a = 1 if 2 else 3', 'a.b = 1', 'print()', 'a = {[]: 1}',
                                  'a = 1\x00'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_config_text(text)


def test_a_config_without_a_network_is_refused() -> None:
    with pytest.raises(ConfigError, match='model'):
        prediction_config(dict(data=dict()))
    with pytest.raises(ConfigError, match='heads'):
        prediction_config(dict(model=dict(type='EncoderDecoder', heads=1)))
