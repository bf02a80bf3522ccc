"""run_experiments.py: unique names, generated configs, and what its switches change. Training itself is replaced."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

from mmseg.cli import run_experiments
from mmseg.config.reading import load_config
from mmseg.errors import ConfigError, command
from mmseg.experiments.numbered import EXPERIMENTS, SUITES
from tests.engine.tiny import tiny_config, write_images

ROOT = Path(__file__).parents[1]
DAFORMER = 'configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
SYNTHIA = 'syn2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s'


class Training(list):
    """Stands for mmseg.cli.train: keeps the configs that it shall train, and the arguments behind the last one."""

    def main(self, args: list[str]) -> None:
        self.append((Path(args[0]), load_config(args[0])))
        self.arguments = args[1:]


@pytest.fixture
def trained(monkeypatch) -> Training:
    training = Training()
    monkeypatch.setitem(sys.modules, 'mmseg.cli.train', types.SimpleNamespace(main=training.main))
    return training


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder with our configs, as the current one."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs', ignore=shutil.ignore_patterns('generated'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmseg.config.places.OWN', tmp_path / 'configs')  # those of the program, which are trusted
    return tmp_path


@pytest.fixture
def script():
    return run_experiments


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
    for call in (['init', '-q'], ['commit', '-q', '--allow-empty', '-m', 'first']):
        subprocess.run([*git, *call], check=True)
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


@pytest.mark.parametrize('method, key', [('dida', 'instance_bank'), ('ebda', 'entropy_balance')])
def test_a_method_that_stood_in_the_code_is_added(repository, trained, script, method, key):
    Path('old.json').write_text(json.dumps(dict(_base_=DAFORMER, work_dir='dida', name='ebda_run', uda={key: None})))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        other = dict(dida='ebda', ebda='dida')[method]
        warnings.filterwarnings('ignore', f'This is a config of {other.upper()}')
        script.main(['--config', 'old.json', '--method', method])
    [(path, cfg)] = trained
    assert cfg.uda[key] == dict(dida=dict(preset='dida_code'), ebda=dict(weight=0.1, target=0.4))[method]
    assert cfg.uda.alpha == 0.999 and '_delete_' in path.read_text()
    with pytest.raises(ConfigError, match=f'--method {method}: .* has uda.{key} already'):
        script.main(['--config', str(path), '--method', method])


def test_a_method_needs_something_to_join(repository, trained, script):
    Path('plain.py').write_text('seed = 3')
    with pytest.raises(ConfigError, match='plain.py has no uda section that EBDA could join'):
        script.main(['--config', 'plain.py', '--method', 'ebda'])


def test_debug_leaves_switched_off_evaluation_off(repository, trained, script):
    Path('a.py').write_text(f"_base_ = '{DAFORMER}'\nevaluation = None")
    script.main(['--config', 'a.py', '--debug'])
    assert trained[0][1].evaluation is None


def test_numbered_experiments_run_one_after_the_other(repository, trained, script, capsys):
    script.main(['--exp', '7'])
    assert [cfg.seed for _, cfg in trained] == [0, 1, 2]
    path, cfg = trained[0]
    assert path.parent == Path('configs/generated/local-exp7')
    assert cfg.work_dir == f'work_dirs/local-exp7/{cfg.name}'
    assert re.fullmatch(rf'\d{{6}}_\d{{4}}_{SYNTHIA}0_[0-9a-f]{{5}}', cfg.name)
    assert cfg.data.train.source.type == 'SynthiaDataset' and cfg.runner.max_iters == 40000

    trained.clear()
    script.main(['--exp', '7', '--startup-test', '--debug'])
    [(path, cfg)] = trained
    assert path.parent == Path('configs/generated/local-exp7-startup')
    assert (cfg.seed, cfg.runner.max_iters, cfg.checkpoint_config, cfg.log_config.interval) == (0, 2, None, 10)
    assert 'Start-up test of 1 of 3 runs' in capsys.readouterr().out


def test_infinity_arrives(repository, trained, script):
    script.main(['--exp', '101'])
    temperatures = [cfg.data.train.get('rare_class_sampling', {}).get('class_temp') for _, cfg in trained]
    assert temperatures[3:5] == [float('inf'), 0.01]


def test_a_startup_test_of_a_config_runs_whatever_the_seed(repository, trained, script):
    script.main(['--config', 'configs/hrda/gtaHR2csHR_hrda.py', '--startup-test'])
    [(path, cfg)] = trained
    assert cfg.seed == 1 and cfg.runner.max_iters == 2
    assert path.parent == Path('configs/generated/local-basic-startup')


def test_a_dry_run_names_runs_and_configs(repository, trained, script, capsys):
    script.main(['--exp', '7', '--dry-run'])
    assert not trained
    written = sorted(Path('configs/generated/local-exp7').iterdir(), key=lambda path: load_config(path).seed)
    lines = capsys.readouterr().out.splitlines()
    assert len(written) == len(lines) == 3
    assert all(line.count(path.stem) == 2 and str(path) in line for path, line in zip(written, lines))
    assert not Path('work_dirs').exists()


def test_the_list_says_what_there_is(script, capsys):
    script.main(['--list'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(row.number) for row in (*EXPERIMENTS, *SUITES)]
    assert re.search(r'^ 84  MIC +45 runs  .*block sizes', '\n'.join(lines), re.MULTILINE)
    assert re.search(r'^200  suite +48 runs  .*ImageNet weights: source_only, photometric, fda', '\n'.join(lines),
                     re.MULTILINE)


def save(cfg, iteration: int) -> None:
    Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    Path(cfg.work_dir, f'iter_{iteration}.pth').touch()


def test_resuming_skips_what_is_finished_and_continues_the_rest(repository, trained, script, capsys):
    script.main(['--exp', '7'])
    (first, one), (second, two), (third, _) = trained
    save(one, 40000)
    save(two, 123)
    trained.clear()
    script.main(['--exp', '7', '--resume'])
    assert [path for path, _ in trained] == [second, third]
    assert trained.arguments == ['--resume-from', 'auto']
    assert f'{first.stem} ({first}): finished' in capsys.readouterr().out

    save(two, 40000)
    trained.clear()
    script.main(['--exp', '7', '--resume'])
    assert [path for path, _ in trained] == [third]


def test_resuming_takes_the_run_that_came_farthest(repository, trained, script):
    for iteration in (3, 20, 1):
        script.main(['--config', DAFORMER])
        save(trained[-1][1], iteration)
    farthest = trained[1][0]
    script.main(['--config', DAFORMER, '--resume'])
    assert trained[-1][0] == farthest


def test_resuming_takes_no_run_of_other_settings(repository, trained, script):
    script.main(['--config', DAFORMER, '--debug'])
    save(trained[-1][1], 40000)
    script.main(['--config', DAFORMER, '--resume'])
    assert len(trained) == 2 and trained[0][0] != trained[1][0]


def test_runs_of_one_process_train_log_and_resume_apart(repository, script, tmp_path_factory, monkeypatch, capsys):
    folder = tmp_path_factory.mktemp('tiny')
    tiny = tiny_config(write_images(folder / 'images'), folder / 'run', 2).filename
    shutil.copy(tiny, 'configs/_base_/tiny.py')
    monkeypatch.setattr(script, 'generate_experiment_cfgs', lambda number: [
        dict(_base_=['_base_/tiny.py'], name=f'tiny_s{seed}', exp=number, seed=seed) for seed in (0, 1)])
    script.main(['--exp', '5'])
    logs = {load_config(path).seed: next(Path(load_config(path).work_dir).glob('*.log')).read_text()
            for path in Path('configs/generated/local-exp5').iterdir()}
    assert len(logs) == 2
    for seed, text in logs.items():
        assert text.count('Iter [2/2]') == 1 and f'seed: {seed}' in text

    broken = next(Path('work_dirs/local-exp5').glob('*_tiny_s1_*'))
    for path in broken.glob('*.pth'):
        path.unlink()
    capsys.readouterr()
    script.main(['--exp', '5', '--resume'])
    assert len(list(Path('work_dirs/local-exp5').iterdir())) == 2
    assert capsys.readouterr().out.count(': finished') == 1
    assert (broken / 'iter_2.pth').is_file() and len(list(broken.glob('*.log'))) == 2


@pytest.mark.parametrize('arguments, part', [
    ([], 'one of the arguments --exp --config --list is required'),
    (['--exp', '7', '--startup-test', '--resume'], 'a start-up test saves nothing'),
    (['--exp', '6', '--method', 'dida'], '--method: goes with --config'),
    (['--exp', '6', '--config', DAFORMER], 'not allowed with argument'),
    (['--config', DAFORMER, '--machine', 'elsewhere'], 'invalid choice'),
])
def test_wrong_arguments_end_in_one_message(script, capsys, arguments, part):
    with pytest.raises(SystemExit):
        script.main(arguments)
    assert part in capsys.readouterr().err


@pytest.mark.parametrize('arguments, message', [
    (['--config', 'configs/daformer/absent.py'], 'configs/daformer/absent.py does not exist'),
    (['--exp', '50'], 'there is no experiment 50, only 1, '),
])
def test_wrong_names_end_in_one_message(script, arguments, message):
    with pytest.raises(SystemExit, match=f'^error: .*{message}'):
        command(lambda: script.main(arguments))


def test_as_a_program_it_ends_in_one_message():
    call = [sys.executable, 'run_experiments.py', '--exp', '50']
    run = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1 and 'Traceback' not in run.stderr
    assert run.stderr.startswith('error: there is no experiment 50, only 1, ')


# run_exp.sh, run_config.sh and demo.sh


@pytest.fixture
def scripts(tmp_path) -> Path:
    """A folder with the shell scripts, and a Python that only says what it is asked to do."""
    for name in ('run_exp.sh', 'run_config.sh', 'demo.sh'):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "GPU=$CUDA_VISIBLE_DEVICES $*"\n')
    python.chmod(0o755)
    return tmp_path


def shell(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    environment = {'PATH': os.environ['PATH'], 'PYTHON': str(folder / 'python'), **environment}
    return subprocess.run([shutil.which('dash') or 'sh', *arguments], cwd=folder, env=environment, capture_output=True,
                          text=True)


@pytest.mark.parametrize('arguments, id, call', [
    (['7'], 7, 'GPU= run_experiments.py --exp 70'),
    (['8', '1'], 8, 'GPU=1 run_experiments.py --exp 71'),
    (['6', '0,1', '--resume'], 6, 'GPU=0,1 run_experiments.py --exp 6 --resume'),
    (['6', '--resume'], 6, 'GPU= run_experiments.py --exp 6 --resume'),
])
def test_run_exp_translates_the_numbers_of_dida(scripts, arguments, id, call):
    run = shell(scripts, 'run_exp.sh', *arguments)
    assert run.returncode == 0, run.stderr
    assert '7 is DIDA on GTA -> Cityscapes' in run.stdout and '8 is DIDA on Synthia -> Cityscapes' in run.stdout
    assert (scripts / f'run_exp_{id}.out').read_text() == f'{call}\n'


@pytest.mark.parametrize('arguments', [[], ['dida'], ['']])
def test_run_exp_needs_a_number(scripts, arguments):
    run = shell(scripts, 'run_exp.sh', *arguments)
    assert run.returncode == 2 and 'usage: sh run_exp.sh ID' in run.stderr
    assert not list(scripts.glob('*.out'))


def test_run_exp_shows_why_it_failed(scripts):
    (scripts / 'python').write_text('#!/bin/sh\necho "error: no such thing"; exit 3\n')
    run = shell(scripts, 'run_exp.sh', '5')
    assert run.returncode == 3 and 'error: no such thing' in run.stderr


def test_run_config_trains_the_config_of_dida_or_the_one_it_is_told(scripts):
    run = shell(scripts, 'run_config.sh', '1', CONFIG='run_exp.sh')
    assert run.stdout == 'GPU=1 run_experiments.py --config run_exp.sh\n'
    (scripts / 'configs/dida').mkdir(parents=True)
    run = shell(scripts, 'run_config.sh')
    assert run.returncode == 2 and 'no config configs/dida/gta2cs_dida_daformer_mitb5.py' in run.stderr
    (scripts / 'configs/dida/gta2cs_dida_daformer_mitb5.py').touch()
    run = shell(scripts, 'run_config.sh', '--dry-run')
    assert run.stdout == 'GPU= run_experiments.py --config configs/dida/gta2cs_dida_daformer_mitb5.py --dry-run\n'


def test_what_run_exp_and_run_config_train_is_there(repository, trained, script):
    for arguments in (['--exp', '70'], ['--exp', '71'], ['--config', 'configs/dida/gta2cs_dida_daformer_mitb5.py']):
        script.main(arguments)
    assert [cfg.data.train.source.type for _, cfg in trained] == ['GTADataset', 'SynthiaDataset', 'GTADataset']
    assert all(cfg.uda.instance_bank.preset == 'dida_code' for _, cfg in trained)


def test_demo_segments_its_picture_wherever_it_is_called(scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp('elsewhere')
    for name in ('a.json', 'latest.pth'):
        (folder / name).touch()
    run = shell(folder, str(scripts / 'demo.sh'), 'a.json', str(folder / 'latest.pth'), '--device', 'cpu',
                PYTHON=str(scripts / 'python'))
    assert run.stdout == (f'GPU= -m demo.image_demo demo/demo.png {folder}/a.json {folder}/latest.pth '
                          '--palette cityscapes --device cpu\n')
    assert (ROOT / 'demo/demo.png').is_file()


@pytest.mark.parametrize('arguments, part', [(['a.json'], 'usage: sh demo.sh CONFIG CHECKPOINT'),
                                             (['run_exp.sh', 'absent.pth'], 'there is no file absent.pth')])
def test_demo_needs_a_config_and_a_checkpoint(scripts, arguments, part):
    run = shell(scripts, 'demo.sh', *arguments)
    assert run.returncode == 2 and part in run.stderr
