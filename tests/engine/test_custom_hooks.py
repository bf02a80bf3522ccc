"""Hooks that a config adds: built in order, called at their priority, with a state that a checkpoint keeps."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS as MMENGINE_HOOKS

from mmseg.config.reading import load_config
from mmseg.engine.custom_hooks import build_custom_hooks, known_hooks
from mmseg.errors import CheckpointError, ConfigError
from mmseg.registry import HOOKS
from tests.engine.tiny import tiny_config, train

CALLS: list[str] = []


class Count(Hook):
    """Sums up the losses that are logged, and says when it is called.

    Args:
        name: what the calls are recorded as.
        start: the first number.
    """

    def __init__(self, name: str = 'count', start: int = 0) -> None:
        self.name, self.seen, self.total = name, start, torch.zeros(())

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.seen += 1
        self.total += outputs['decode.loss_seg'].detach()
        CALLS.append(self.name)

    def state_dict(self) -> dict[str, Any]:
        return dict(seen=self.seen, total=self.total)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.total = state['seen'], state['total']


class Stamp(Hook):
    """Adds to checkpoints in the way of MMEngine."""
    found = None

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        checkpoint['stamp'] = torch.tensor(runner.train_loop.finished)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        Stamp.found = checkpoint['stamp'].item()


class Scores(Hook):
    """Waits for what this runner does not have."""

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        pass


class Opaque(Hook):
    """Its state is no plain value."""

    def state_dict(self) -> dict[str, Any]:
        return dict(path=Path('x'))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@pytest.fixture(autouse=True)
def hooks():
    """Registered here, one of them with MMEngine as its documents tell."""
    CALLS.clear()
    own, foreign = (Count, Scores, Opaque), (Stamp, )
    for registry, classes in ((HOOKS, own), (MMENGINE_HOOKS, foreign)):
        for cls in classes:
            registry.register_module(module=cls)
    yield
    for registry, classes in ((HOOKS, own), (MMENGINE_HOOKS, foreign)):
        for cls in classes:
            registry.module_dict.pop(cls.__name__)


def test_order_and_priority(images, tmp_path) -> None:
    entries = [dict(type='Count', name='third', priority='BELOW_NORMAL'), dict(type='Count', name='first'),
               dict(type='Count', name='second'), dict(type='EmptyCacheHook', after_iter=True)]
    cfg = tiny_config(images, tmp_path / 'run', 1, custom_hooks=entries)
    train(cfg)
    assert CALLS == ['first', 'second', 'third']
    assert cfg.custom_hooks[0].priority == 'BELOW_NORMAL'  # the config stays as it is


def checkpoint(run: Path, name: str = 'latest.pth') -> dict:
    return torch.load(run / name, weights_only=True)


def test_a_resumed_hook_ends_as_one_that_was_never_interrupted(images, tmp_path) -> None:
    entries = [dict(type='Count'), dict(type='Stamp'), dict(type='Count', name='other', start=7)]
    exact = dict(interval=1, hooks=[dict(type='PrecisionLoggerHook')])
    common = dict(custom_hooks=entries, log_config=exact, uda=dict(type='DACS', alpha=0.9))
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    train(tiny_config(images, whole, 5, checkpoint_config=dict(interval=2, max_keep_ckpts=-1), **common))
    train(tiny_config(images, resumed, 5, resume_from=str(whole / 'iter_2.pth'), **common))
    assert Stamp.found == 2
    first, second = checkpoint(whole), checkpoint(resumed)
    assert {name: state['seen'] for name, state in first['hooks'].items()} == dict(Count=5, Count_2=12)
    for name, state in first['hooks'].items():
        assert state['seen'] == second['hooks'][name]['seen']
        assert torch.equal(state['total'], second['hooks'][name]['total'])
    assert all(torch.equal(value, second['state_dict'][key]) for key, value in first['state_dict'].items())


def test_training_is_the_same_with_and_without_hooks_that_look_on(images, tmp_path) -> None:
    for name, entries in (('with', [dict(type='Count')]), ('without', None)):
        train(tiny_config(images, tmp_path / name, 2, custom_hooks=entries))
    first, second = (checkpoint(tmp_path / name) for name in ('with', 'without'))
    assert set(first) - set(second) == {'hooks'}
    assert all(torch.equal(value, second['state_dict'][key]) for key, value in first['state_dict'].items())


def test_hooks_may_be_added_and_removed_with_a_warning(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'none', 1))
    file = str(tmp_path / 'none' / 'latest.pth')
    train(tiny_config(images, tmp_path / 'added', 2, resume_from=file, custom_hooks=[dict(type='Count')]))
    file = str(tmp_path / 'added' / 'latest.pth')
    train(tiny_config(images, tmp_path / 'gone', 3, resume_from=file, custom_hooks=[]))
    for run, words in (('added', 'no state of Count, which starts anew'), ('gone', 'does not list: Count')):
        assert words in next((tmp_path / run).glob('*.log')).read_text()
    assert checkpoint(tmp_path / 'added')['hooks']['Count']['seen'] == 1


def test_a_state_that_no_one_could_read_is_refused_when_it_is_saved(images, tmp_path) -> None:
    with pytest.raises(CheckpointError, match='the state of Opaque cannot be kept'):
        train(tiny_config(images, tmp_path / 'run', 1, custom_hooks=[dict(type='Opaque')]))


@pytest.mark.parametrize('text, key, words', [
    ("custom_hooks = [dict(type='Cuont')]", 'custom_hooks.0.type', "did you mean 'Count'"),
    ("custom_hooks = [dict(type='Count'), dict(type='Count', nmae='x')]", 'custom_hooks.1.nmae', "'name'"),
    ("custom_hooks = [dict(type='Count', start='x')]", 'custom_hooks.0.start', 'a whole number'),
    ("custom_hooks = [dict(type='Count', priority='NROMAL')]", 'custom_hooks.0.priority', "'NORMAL'"),
    ("custom_hooks = [dict(type='Count', priority=101)]", 'custom_hooks.0.priority', '0 to 100'),
    ("custom_hooks = [dict(type='Count', priority='LOWEST')]", 'custom_hooks.0.priority', "before 'LOW'"),
    ("custom_hooks = [dict(name='x')]", 'custom_hooks.0', 'type is missing'),
    ("custom_hooks = dict(type='Count')", 'custom_hooks', 'a list'),
    ("custom_hook = [dict(type='Count')]", 'custom_hook', "'custom_hooks'"),
    ("custom_hooks = [dict(type='Scores')]", 'custom_hooks.0.type', 'waits for after_val_epoch'),
    ("custom_hooks = [dict(type='EarlyStoppingHook')]", 'custom_hooks.0.type', 'after_val_epoch'),
    ("custom_hooks = [dict(type='CheckpointHook')]", 'custom_hooks.0.type', 'checkpoint_config does its work'),
    ("custom_hooks = [dict(type='PanelHook', interval=3)]", 'custom_hooks.0.type', 'log_config.img_interval'),
    ("custom_hooks = [dict(type='NumClassCheckHook')]", 'custom_hooks.0.type', 'remove the entry'),
    ("custom_hooks = [dict(type='EMAHook', momentum=0.1)]", 'custom_hooks.0.type', 'uda.alpha'),
    ("default_hooks = dict(logger=dict(type='LoggerHook', interval=50))", 'default_hooks', 'log_config'),
])
def test_refusals_name_key_and_remedy(tmp_path, text, key, words) -> None:
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / 'a.py')
    assert str(caught.value).startswith(f'{tmp_path / "a.py"}: {key}:') and words in str(caught.value)


@pytest.mark.parametrize('text', ['custom_hooks = []', 'custom_hooks = None', 'default_hooks = None'])
def test_old_configs_may_name_none(tmp_path, text) -> None:
    (tmp_path / 'a.py').write_text(text)
    load_config(tmp_path / 'a.py')


def test_hooks_of_mmengine_that_work_here() -> None:
    assert {'EmptyCacheHook', 'ProfilerHook', 'Stamp', 'Count'} <= set(known_hooks())
    assert not {'CheckpointHook', 'EMAHook', 'EarlyStoppingHook', 'PrepareTTAHook', 'RFSearchHook'} & set(known_hooks())
    assert build_custom_hooks([dict(type='EmptyCacheHook')])[0].priority == 'NORMAL'
