"""TensorBoard, Weights & Biases and MLflow: nothing is imported unless the config asks for it."""
from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmseg.engine import loops, trackers
from mmseg.errors import ConfigError, PackageMissing
from mmseg.evaluation import ImageResults
from tests.engine.tiny import tiny_config, train

TEXT = dict(type='TextLoggerHook', by_epoch=False)


class Recorder(ModuleType):
    """A module any function of which notes its name and arguments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple, dict]] = []
        self.config = SimpleNamespace(update=lambda *args, **kwargs: self.calls.append(('config', args, kwargs)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))

    def of(self, name: str) -> list[tuple[tuple, dict]]:
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a recording module in the place of a package."""

    def put(name: str) -> Recorder:
        module = Recorder(name)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(trackers, 'find_spec', lambda package: package == name)
        return module

    return put


def run(images: Path, folder: Path, *hooks: dict[str, Any]) -> None:
    train(tiny_config(images, folder / 'run', 3, log_config=dict(interval=2, hooks=[TEXT, *hooks]),
                      evaluation=dict(interval=3)))


def test_wandb_gets_config_and_values_with_their_iteration(images, tmp_path, installed) -> None:
    wandb = installed('wandb')
    run(images, tmp_path, dict(type='WandbLoggerHook', init_kwargs=dict(project='night', name='first'), by_epoch=False))
    [(_, opened)] = wandb.of('init')
    assert opened == dict(project='night', name='first', dir=f'{tmp_path}/run')
    [((config, ), _)] = wandb.of('config')
    assert config['runner']['max_iters'] == 3
    values = [args[0] for args, _ in wandb.of('log')]
    assert [value['iter'] for value in values] == [2, 3, 3, 3, 3, 3, 3]
    assert [next(iter(value)) for value in values[3:]] == [f'val/{number}.png' for number in range(4)]
    [((picture, ), _), *_] = wandb.of('Image')  # image, truth and prediction, and the legend below
    assert picture.dtype == np.uint8 and picture.shape[1] == 3 * 48 + 2 * 8 and picture.shape[0] > 32
    assert 'train/decode.loss_seg' in values[0] and 'val/mIoU' in values[2]
    assert wandb.of('join') and not wandb.of('log_code')  # closed; no source code is sent


@pytest.mark.parametrize('hooks, kept', [([TEXT], [2, 2]), ([TEXT, dict(type='WandbLoggerHook')], [1, 2, 2])])
def test_single_images_are_kept_at_the_end_and_for_trackers(images, tmp_path, installed, monkeypatch, hooks,
                                                            kept) -> None:
    wandb, iterations = installed('wandb'), []

    class Noted(ImageResults):
        def __exit__(self, *error: Any) -> None:
            super().__exit__(*error)
            iterations.append(len(list((tmp_path / 'run').glob('iter_*.pth'))) + 1)

    monkeypatch.setattr(loops, 'ImageResults', Noted)
    train(tiny_config(images, tmp_path / 'run', 2, uda=dict(type='DACS', alpha=0.9), log_config=dict(hooks=hooks),
                      checkpoint_config=dict(interval=1), evaluation=dict(interval=1, model=['student', 'teacher'])))
    assert iterations == kept  # networks
    assert len(wandb.of('Image')) == (0 if len(hooks) == 1 else 2 * 4)


def test_mlflow_gets_values_and_files(images, tmp_path, installed) -> None:
    mlflow = installed('mlflow')
    run(images, tmp_path, dict(type='MlflowLoggerHook', exp_name='night', tags=dict(who='me'), params=dict(seed=1),
                               tracking_uri='http://localhost:5000'))
    assert mlflow.of('set_experiment') == [(('night', ), {})] and mlflow.of('set_tags') == [((dict(who='me'), ), {})]
    assert mlflow.of('set_tracking_uri') == [(('http://localhost:5000', ), {})]
    assert [args[1] for args, _ in mlflow.of('log_metrics')] == [2, 3, 3]
    assert 'val/mIoU' in mlflow.of('log_metrics')[2][0][0]
    assert any(args[0].endswith('.log.json') for args, _ in mlflow.of('log_artifact')) and mlflow.of('end_run')


@pytest.mark.parametrize('hook, install', [
    ('WandbLoggerHook', r"pip install 'udaseg\[trackers\]'"), ('MlflowLoggerHook', 'pip install mlflow')])
def test_what_is_not_installed_is_named_before_the_training(images, tmp_path, monkeypatch, hook, install) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    with pytest.raises(PackageMissing, match=f'{hook}.*{install}'):
        run(images, tmp_path, dict(type=hook))


def test_a_wrong_key_of_a_tracker_is_named(images, tmp_path) -> None:
    with pytest.raises(ConfigError, match="'exp_nam' is not known, did you mean 'exp_name'"):
        run(images, tmp_path, dict(type='MlflowLoggerHook', exp_nam='night'))


def test_nothing_is_imported_unless_asked_for(images, tmp_path, monkeypatch) -> None:
    for package in ('wandb', 'mlflow', 'tensorboard'):
        monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    run(images, tmp_path)


def test_tensorboard_is_written_if_asked_for(images, tmp_path, monkeypatch) -> None:
    pytest.importorskip('tensorboard')
    hooks = [dict(type='TextLoggerHook', by_epoch=False), dict(type='TensorboardLoggerHook', by_epoch=False)]
    train(tiny_config(images, tmp_path / 'run', 1, log_config=dict(hooks=hooks), evaluation=dict(interval=1)))
    [events] = (tmp_path / 'run' / 'tf_logs').glob('events*')
    assert b'val/0.png' in events.read_bytes()


def test_absent_tensorboard_is_reported_and_training_goes_on(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    train(tiny_config(images, tmp_path / 'run', 1, log_config=dict(hooks=[dict(type='TensorboardLoggerHook')])))
    text = next((tmp_path / 'run').glob('*.log')).read_text()
    assert "pip install 'udaseg[trackers]'" in text and 'Iter [1/1]' in text
