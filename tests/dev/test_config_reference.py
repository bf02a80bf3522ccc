"""docs/reference/config.md: its tables are those of the program, and its defaults those of a run."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine import Config

from dev import config_reference
from dev.config_reference import PAGE, Row, key_table, written
from mmseg.config.meanings import MEANINGS
from mmseg.datasets.kinds import STEPS
from mmseg.engine.hooks import CheckpointHook, EvaluationHook, LogHook
from mmseg.engine.runner import _hooks
from mmseg.engine.schedule import LearningRate


def test_the_page_is_what_the_program_declares() -> None:
    text = PAGE.read_text(encoding='utf-8')
    assert text == written(text), 'run python -m dev.config_reference'


def test_every_registered_transform_has_its_keys_there() -> None:
    text = PAGE.read_text(encoding='utf-8')
    for name in config_reference.ours(STEPS.kind.table()):
        assert f'#### `{name}`\n' in text or f'* `{name}`: ' in text


def test_a_page_without_a_block_and_a_key_without_a_meaning_are_refused() -> None:
    text = PAGE.read_text(encoding='utf-8')
    with pytest.raises(ValueError, match="'MinEnt'"):
        written(re.sub('<!-- generated: MinEnt -->\n.*?<!-- end -->', '', text, flags=re.DOTALL))
    with pytest.raises(ValueError, match='Mine: weight has no meaning'):
        key_table('Mine', [Row('weight', 'a number', '`1`', '')])


def default(section: str, key: str) -> str:
    return (MEANINGS[section][key].default or '').strip('`')


def test_defaults_of_sections_are_those_of_a_run(tmp_path: Path) -> None:
    cfg = Config(dict(runner=dict(max_iters=7), evaluation={}))
    hooks = {type(hook): hook for hook in _hooks(cfg, tmp_path, validate=True)}
    log, evaluation, saving = (hooks[cls] for cls in (LogHook, EvaluationHook, CheckpointHook))
    assert default('log_config', 'interval') == str(log.interval)
    assert default('evaluation', 'interval') == str(evaluation.interval)
    assert default('evaluation', 'start') == str(evaluation.start)
    assert default('evaluation', 'save_best') == str(evaluation.save_best)
    assert default('checkpoint_config', 'max_keep_ckpts') == str(saving.max_keep)
    assert default('checkpoint_config', 'save_optimizer') == str(saving.save_optimizer)
    poly = LearningRate(dict(policy='poly'), 10)
    given = {key: float(default('lr_config', key)) for key in ('power', 'min_lr')}
    assert poly(1., 4) == LearningRate(dict(policy='poly', **given), 10)(1., 4)
    steps = dict(policy='step', step=2)
    gamma = float(default('lr_config', 'gamma'))
    assert LearningRate(steps, 10)(1., 4) == LearningRate(dict(steps, gamma=gamma), 10)(1., 4)
