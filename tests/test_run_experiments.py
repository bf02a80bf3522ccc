"""run_experiments.py: unique names, generated configs, and what its switches change. Training itself is replaced."""
from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from mmseg.engine.config import load_config

ROOT = Path(__file__).parents[1]
DAFORMER = 'configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
EXPERIMENT = dict(
    _base_=['_base_/default_runtime.py', '_base_/models/daformer_sepaspp_mitb5.py',
            '_base_/datasets/uda_gta_to_cityscapes_512x512.py', '_base_/uda/dacs.py', '_base_/schedules/adamw.py',
            '_base_/schedules/poly10warm.py'],
    data=dict(train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=float('inf'), min_crop_ratio=0.5))),
    runner=dict(type='IterBasedRunner', max_iters=40000), checkpoint_config=dict(by_epoch=False, interval=40000),
    evaluation=dict(interval=4000, metric='mIoU'))


class Training(list):
    """Stands for tools.train: keeps the configs that it is asked to train."""

    def main(self, args: list[str]) -> None:
        self.append((Path(args[0]), load_config(args[0])))


@pytest.fixture
def trained(monkeypatch) -> Training:
    training = Training()
    monkeypatch.setitem(sys.modules, 'tools.train', types.SimpleNamespace(main=training.main))
    return training


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder with our configs, as the current one."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs', ignore=shutil.ignore_patterns('generated'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location('run_experiments', ROOT / 'run_experiments.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_config_gets_a_name_a_folder_and_a_child_config(repository, trained, script):
    script.main(['--config', DAFORMER])
    [(path, cfg)] = trained
    name = r'\d{6}_\d{4}_gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0_[0-9a-f]{5}'
    assert re.fullmatch(name, cfg.name)
    assert path == Path('configs/generated/local-basic', f'{cfg.name}.py')
    assert cfg.work_dir == f'work_dirs/local-basic/{cfg.name}'
    assert '../../daformer/' in path.read_text()
    parent = load_config(DAFORMER)
    own = {'name', 'work_dir', 'git_rev'}
    assert {key: value for key, value in cfg.items() if key not in own} == \
        {key: value for key, value in parent.items() if key not in own}


def test_two_runs_of_one_config_do_not_meet(repository, trained, script):
    for _ in range(2):
        script.main(['--config', DAFORMER])
    assert trained[0][1].work_dir != trained[1][1].work_dir


def test_a_config_without_name_from_elsewhere(repository, trained, script, tmp_path_factory):
    config = tmp_path_factory.mktemp('elsewhere') / 'mine.json'
    config.write_text('{"seed": 3}')
    script.main(['--config', str(config)])
    [(path, cfg)] = trained
    assert re.fullmatch(r'\d{6}_\d{4}_mine_[0-9a-f]{5}', cfg.name)
    assert path.parent == Path('configs/generated/local-basic') and cfg.seed == 3


@pytest.mark.skipif(shutil.which('git') is None, reason='git is absent')
def test_the_git_revision_is_noted(repository, trained, script):
    git = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b.c']
    for command in (['init', '-q'], ['commit', '-q', '--allow-empty', '-m', 'first']):
        subprocess.run([*git, *command], check=True)
    script.main(['--config', DAFORMER])
    assert re.fullmatch('[0-9a-f]{40}', trained[0][1].git_rev)


def test_git_may_be_absent(repository, trained, script, monkeypatch):
    monkeypatch.setenv('PATH', '')
    script.main(['--config', DAFORMER])
    assert trained[0][1].git_rev == ''


def test_debug_and_startup_test(repository, trained, script):
    script.main(['--config', DAFORMER, '--debug'])
    script.main(['--config', DAFORMER, '--startup-test'])
    (_, debug), (_, startup) = trained
    assert (debug.log_config.interval, debug.log_config.img_interval, debug.evaluation.interval) == (10, 10, 200)
    assert debug.runner.max_iters == 40000 and debug.log_config.hooks
    assert startup.runner == dict(type='IterBasedRunner', max_iters=2)
    assert startup.checkpoint_config is None and startup.evaluation is None and startup.log_level == 'ERROR'


def test_debug_leaves_switched_off_evaluation_off(repository, trained, script):
    Path('a.py').write_text(f"_base_ = '{DAFORMER}'\nevaluation = None")
    script.main(['--config', 'a.py', '--debug'])
    assert trained[0][1].evaluation is None


def test_numbered_experiments_run_one_after_the_other(repository, trained, script, monkeypatch):
    def generate_experiment_cfgs(number):
        return [dict(EXPERIMENT, name=f'dacs_s{seed}', exp=number, seed=seed) for seed in (0, 1)]

    experiments = types.ModuleType('experiments')
    experiments.generate_experiment_cfgs = generate_experiment_cfgs
    experiments.__spec__ = importlib.util.spec_from_loader('experiments', loader=None)
    monkeypatch.setitem(sys.modules, 'experiments', experiments)
    script.main(['--exp', '5'])
    assert [cfg.seed for _, cfg in trained] == [0, 1]
    path, cfg = trained[0]
    assert path.parent == Path('configs/generated/local-exp5')
    assert cfg.work_dir == f'work_dirs/local-exp5/{cfg.name}' and re.fullmatch(r'\d{6}_\d{4}_dacs_s0_\w{5}', cfg.name)
    assert cfg.data.train.rare_class_sampling.class_temp == float('inf')
    assert cfg.data.train.source.type == 'GTADataset'

    trained.clear()
    script.main(['--exp', '5', '--startup-test', '--debug'])
    [(path, cfg)] = trained
    assert path.parent == Path('configs/generated/local-exp5-startup')
    assert (cfg.seed, cfg.runner.max_iters, cfg.checkpoint_config, cfg.log_config.interval) == (0, 2, None, 10)


@pytest.mark.parametrize('arguments, part', [
    (['--config', 'configs/daformer/absent.py'], 'configs/daformer/absent.py does not exist'),
    ([], 'one of the arguments --exp --config is required'),
    (['--exp', '6', '--config', DAFORMER], 'not allowed with argument'),
    (['--config', DAFORMER, '--machine', 'elsewhere'], 'invalid choice'),
])
def test_wrong_command_lines_end_in_one_message(arguments, part):
    run = subprocess.run([sys.executable, 'run_experiments.py', *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert part in run.stderr and 'Traceback' not in run.stderr


def test_numbered_experiments_need_their_definitions(script, monkeypatch):
    monkeypatch.setattr(script, 'find_spec', lambda name: None)
    with pytest.raises(ValueError, match='--exp 6: .*experiments.py.*--config'):
        script.main(['--exp', '6'])
