"""The command line of tools/train.py and what it leaves in the work_dir."""
from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from mmseg.apis import load_config
from mmseg.cli import training
from mmseg.errors import ConfigError
from tests.engine.tiny import tiny_config
from tools import train

ROOT = Path(__file__).parents[2]


def test_the_flags_are_those_that_users_know() -> None:
    flags = vars(train.parse_args(['config.py']))
    assert set(flags) == {'config', 'work_dir', 'load_from', 'new_classifier', 'resume_from', 'no_validate', 'gpus',
                          'gpu_ids', 'device', 'seed', 'deterministic', 'amp', 'memory', 'meters', 'options',
                          'trust_config', 'launcher', 'local_rank'}


def test_the_work_dir_holds_config_sources_logs_and_checkpoint(images, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    cfg = tiny_config(images, tmp_path / 'elsewhere', 9)
    run = tmp_path / 'run'
    train.main([cfg.filename, '--work-dir', str(run), '--seed', '7', '--deterministic', '--amp', 'bf16', '--gpus', '1',
                '--options', 'runner.max_iters=1', 'optimizer.lr=0.01'])
    dumped = load_config(run / Path(cfg.filename).name)
    assert dumped.seed == 7 and dumped.work_dir == str(run) and dumped.deterministic and dumped.amp.dtype == 'bfloat16'
    assert dumped.runner.max_iters == 1 and dumped.optimizer.lr == 0.01
    assert torch.load(run / 'latest.pth', weights_only=True)['meta']['seed'] == 7
    with tarfile.open(run / 'code.tar.gz') as archive:
        names = archive.getnames()
    assert {'tools/train.py', 'dev/soak.py', 'mmseg/engine/runner.py'} <= set(names)
    assert not [name for name in names if name.startswith(('tests/', 'data/', 'work_dirs/'))]
    assert not (tmp_path / 'elsewhere').exists()


def test_a_json_config_is_dumped_as_json_and_no_checkout_is_no_error(images, tmp_path, monkeypatch) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    cfg.dump(str(tmp_path / 'small.json'))
    monkeypatch.chdir(tmp_path)
    train.main(['small.json'])
    assert json.loads((tmp_path / 'run' / 'small.json').read_text())['runner']['max_iters'] == 1
    assert not (tmp_path / 'run' / 'code.tar.gz').exists()


def test_the_work_dir_defaults_to_the_name_of_the_config(images, tmp_path, monkeypatch) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    monkeypatch.chdir(tmp_path)
    assert training.configure(train.parse_args([cfg.filename, '--options', 'work_dir=None'])).work_dir == \
        'work_dirs/config_run'


def test_a_run_without_a_seed_gets_one_and_keeps_it(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, seed=None)
    train.main([cfg.filename])
    seed = load_config(tmp_path / 'run' / 'config_run.py').seed
    checkpoint = torch.load(tmp_path / 'run' / 'latest.pth', weights_only=True)
    assert isinstance(seed, int) and checkpoint['meta']['seed'] == seed


def test_a_training_that_goes_on_keeps_its_seed_wherever_that_is_said(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, seed=None)

    def seed(*args: str) -> int | None:
        return training.configure(train.parse_args([cfg.filename, *args])).seed

    for value in ('some.pth', 'auto'):
        (tmp_path / 'run').mkdir(exist_ok=True)
        nothing_there = value == 'auto'
        for args in (['--resume-from', value], ['--options', f'resume_from={value}']):
            assert isinstance(seed(*args), int) == nothing_there, 'a start needs a seed'
            assert seed('--seed', '5', *args) == 5
    (tmp_path / 'run' / 'iter_1.pth').touch()
    assert seed('--resume-from', 'auto') is seed('--options', 'resume_from=auto') is None


def test_no_validate_evaluates_nothing(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, evaluation=dict(interval=1, metric='mIoU'))
    train.main([cfg.filename, '--no-validate'])
    assert '"val"' not in next((tmp_path / 'run').glob('*.log.json')).read_text()


@pytest.mark.parametrize('args, device', [
    (['--gpu-ids', '1'], 'cuda:1'), (['--device', 'cuda'], 'cuda'), (['--gpu-ids', '0', '--device', 'cpu'], 'cpu')])
def test_the_device_is_chosen(images, tmp_path, args, device) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    assert training.configure(train.parse_args([cfg.filename, *args])).device == device


@pytest.mark.parametrize('args, words', [
    (['--launcher', 'mpi'], 'pytorch'), (['--gpus', '2'], 'dist_train.sh'), (['--gpu-ids', '0', '1'], 'dist_train.sh')])
def test_several_gpus_need_processes(args, words, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        train.parse_args(['config.py', *args])
    assert stopped.value.code == 2 and words in capsys.readouterr().err


def test_feature_distance_without_imagenet_weights_does_not_start(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, uda=dict(type='DACS', imnet_feature_dist_lambda=0.005))
    with pytest.raises(ValueError, match='pretrained'):
        train.main([cfg.filename])


def test_the_plain_script_ends_in_one_message(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    done = subprocess.run([sys.executable, str(ROOT / 'tools' / 'train.py'), cfg.filename, '--resume-from', 'no.pth'],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert done.stderr.splitlines()[-1] == 'error: no checkpoint at no.pth'


@pytest.mark.parametrize('flag', ['--resume-from', '--load-from', '--work-dir'])
def test_an_empty_path_is_refused_rather_than_left_out(flag, capsys) -> None:
    with pytest.raises(SystemExit):
        train.parse_args(['config.py', flag, ''])
    assert f'{flag}: names nothing: is a variable of your shell empty?' in capsys.readouterr().err


def test_the_command_line_is_checked_like_the_config(images, tmp_path) -> None:
    with pytest.raises(ConfigError, match='seed: has to be a whole number from 0'):
        train.main([tiny_config(images, tmp_path / 'run', 1).filename, '--seed', '-1'])
