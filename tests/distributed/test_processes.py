"""Two processes train and test as one: the same network in both, from the mean of their gradients."""
from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.apis import load_config
from mmseg.apis.test import TestOutputs, run_test
from mmseg.datasets import build_dataset, build_train_loader
from mmseg.distributed import launch
from mmseg.engine.optim import StepWrapper, build_optim_wrapper
from mmseg.engine.schedule import LearningRate
from mmseg.engine.seeds import seed_everything
from mmseg.models import build_train_model
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida.prototypes import class_means
from mmseg.report.comparison import load_results
from tests.distributed.two_processes import batch
from tests.engine.tiny import tiny_config, train, write_images

ROOT = Path(__file__).parents[2]
DACS = dict(type='DACS', alpha=0.9, pseudo_threshold=0.4)
BANK = dict(size=6, warmup=0, interval=1, projection=4, region='all')
MRM = dict(dim=8, depth=1, heads=2, grid=(1, 1), mask_ratio=0.5)
MIC = dict(mask_mode='separate', mask_lambda=1, mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=8))
METHODS = dict(plain=None, dacs=dict(DACS, mrm=MRM, instance_bank=BANK, **MIC),
               dida_code=dict(DACS, instance_bank=dict(preset='dida_code', size=6, interval=2, calibrate=False)),
               advseg=dict(type='AdvSeg', lr_D=1e-3, alpha=0.9, **MIC))
SAVING = dict(interval=2, max_keep_ckpts=-1)
QUIET = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')


def norm_free(images: Path, work_dir: Path, **changes: Any) -> Any:
    """A training in which no image of a batch influences another one."""
    cfg = tiny_config(images, work_dir, 3, uda=DACS, **changes)
    text = Path(cfg.filename).read_text().replace("norm_cfg=dict(type='BN', requires_grad=True)", 'norm_cfg=None')
    Path(cfg.filename).write_text(text)
    return load_config(cfg.filename)


@pytest.fixture(scope='module')
def seven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp('seven'), count=7)


@pytest.fixture(scope='module')
def folder(seven: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have done everything."""
    folder = tmp_path_factory.mktemp('runs')
    for name, uda in METHODS.items():
        tiny_config(seven, folder / name, 4, uda=uda, checkpoint_config=SAVING,
                    log_config=dict(interval=1, meters=name == 'dacs'),
                    evaluation=dict(interval=4, metric='mIoU', model=['student', 'teacher'] if name == 'dacs' else
                                    ['student']))
        tiny_config(seven, folder / f'{name}_resumed', 4, uda=uda, resume_from=str(folder / name / 'iter_2.pth'))
    norm_free(seven, folder / 'normfree')
    apart = folder / 'apart'
    apart.mkdir()
    train(tiny_config(seven, apart / 'alone', 2))
    tiny_config(seven, folder / 'more', 4, resume_from=str(apart / 'alone' / 'latest.pth'))
    for name in ('signalled', 'dying'):
        tiny_config(seven, apart / name, 50)
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', '-m',
                           'tests.distributed.two_processes', str(folder)], cwd=ROOT, env=QUIET, text=True, timeout=240,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    (folder / 'output.txt').write_text(done.stdout)
    assert done.returncode != 0 and (folder / '1.pt').exists(), done.stdout
    return folder


@pytest.fixture(scope='module')
def found(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each process has found."""
    return tuple(torch.load(folder / f'{rank}.pt', weights_only=False) for rank in (0, 1))


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def saved(folder: Path, name: str = 'latest.pth') -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


@pytest.mark.parametrize('name', METHODS)
def test_both_processes_have_the_same_network_and_process_0_saves_it(folder, found, name) -> None:
    assert_equal(found[0][name], found[1][name])
    assert_equal(saved(folder / name)['state_dict'], found[0][name])
    if name in ('dacs', 'dida_code'):
        assert found[0][name]['instance_bank.bank.filled'].all()


@pytest.mark.parametrize('name', METHODS)
def test_resuming_with_as_many_processes_is_exact(folder, found, name) -> None:
    assert_equal(found[0][f'{name}_resumed'], found[0][name])
    assert_equal(found[1][f'{name}_resumed'], found[1][name])


def test_resuming_with_another_number_of_processes(seven, folder, tmp_path) -> None:
    assert saved(folder / 'more')['meta']['iter'] == 4
    train(tiny_config(seven, tmp_path / 'run', 4, resume_from=str(folder / 'plain' / 'iter_2.pth')))
    assert saved(tmp_path / 'run')['meta']['iter'] == 4
    for work_dir, words in ((folder / 'more', 'by 1 process(es), these are 2'),
                            (tmp_path / 'run', 'by 2 process(es), these are 1')):
        assert words in next(work_dir.glob('*.log')).read_text()


class Postponed(StepWrapper):
    """Leaves the step to somebody else."""

    def step(self, **_: Any) -> None:
        """Nothing yet."""


def test_two_processes_do_what_one_does_with_the_mean_gradient(found, seven, tmp_path) -> None:
    cfg = norm_free(seven, tmp_path / 'run')
    dataset = build_dataset(cfg.data.train)
    seed_everything(cfg.seed)
    first = build_train_model(cfg)
    first.init_weights()
    models = [first, copy.deepcopy(first)]
    models[1].teacher.network = models[1].ema_model
    wrappers = [Postponed(build_optim_wrapper(model, cfg).optimizer) for model in models]
    loaders = [build_train_loader(dataset, 2, 0, seed=cfg.seed, rank=rank, world_size=2, stop=3) for rank in (0, 1)]
    schedule = LearningRate(cfg.lr_config, cfg.runner.max_iters)
    for rank, model in enumerate(models):
        model.start(cfg.seed, rank, 0)
        model.train()
    for iteration, batches in enumerate(zip(*loaders)):
        for model, wrapper, one in zip(models, wrappers, batches):
            model.train_step(one, wrapper)
        for mine, theirs in zip(*(model.parameters() for model in models)):
            if mine.grad is not None:
                mine.grad = theirs.grad = (mine.grad + theirs.grad) / 2
        for wrapper in wrappers:
            for group in wrapper.optimizer.param_groups:
                group['lr'] = schedule(group['initial_lr'], iteration)
            wrapper.optimizer.step()
    for key, value in first.state_dict().items():
        torch.testing.assert_close(found[0]['normfree'][key], value, rtol=1e-6, atol=1e-6, msg=key)


def test_a_missing_gradient_counts_as_zero_and_stays_away_if_nobody_has_one(found) -> None:
    for mine in found:
        assert [None if grad is None else grad.tolist() for grad in mine['gradients']] == [[2, 2], [2, 2], [3, 3], None]


def test_the_bank_learns_from_the_images_of_all_processes(found) -> None:
    embedding, label = batch()
    means, pixels = class_means(embedding, class_counts(label, (4, 4), 3)[..., :-1])
    for mine in found:
        torch.testing.assert_close(mine['entries'], (means, pixels))


def test_seven_images_are_counted_once_each(folder, found) -> None:
    assert [mine['tested']['images'] for mine in found] == [[0, 2, 4, 6], [1, 3, 5]]
    cfg = load_config(folder / 'config_plain.py')
    cfg.data.test = cfg.data.val
    alone = run_test(cfg, str(folder / 'plain' / 'latest.pth'),
                     TestOutputs(metrics=('mIoU', ), out=str(folder / 'alone.pkl'), report=str(folder / 'alone')))
    assert found[0]['tested']['scores'] == found[1]['tested']['scores'] == alone
    both, one = (pickle.loads((folder / f'{name}.pkl').read_bytes()) for name in ('both', 'alone'))
    assert len(both) == 7 and all((a == b).all() for a, b in zip(both, one))
    [shared], [own] = (load_results([folder / name]) for name in ('both', 'alone'))
    assert shared.confusion == own.confusion and shared.images == own.images and len(own.images) == 7
    [line] = [line for line in logged(folder / 'plain') if line.get('mode') == 'val']
    assert line['mIoU'] == pytest.approx(alone['mIoU']) and line['iter'] == 7


def logged(work_dir: Path) -> list[dict[str, Any]]:
    [file] = work_dir.glob('*.log.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_meters_count_the_images_of_all_processes(folder, found) -> None:
    assert found[0]['measured'] == found[1]['measured']
    assert found[0]['measured']['pseudo.aAcc'] == 0.75 and found[0]['measured']['grad.a'] == 1.5
    [record] = [line for line in logged(folder / 'dacs') if line.get('mode') == 'meters']
    assert record['iter'] == 4 and {'meters.pseudo.mIoU', 'meters.grad.mix.decode.loss_seg'} <= set(record)


def test_process_0_logs_and_decides(folder, found) -> None:
    assert [line['iter'] for line in logged(folder / 'plain') if line.get('mode') == 'train'] == [1, 2, 3, 4]
    assert found[0]['seed'] == found[1]['seed'] == 7
    assert (found[0]['gathered'], found[1]['gathered']) == ([0, 1], [])


def test_a_signal_to_one_process_stops_all_after_the_same_iteration(folder, found) -> None:
    assert [mine['signalled'] for mine in found] == [dict(stopped=143)] * 2
    assert saved(folder / 'apart' / 'signalled')['meta']['iter'] == 2
    assert (folder / 'output.txt').read_text().count('stopped, saved') == 1


def test_a_process_that_dies_ends_the_run_with_its_number_and_a_checkpoint(folder) -> None:
    work_dir, output = folder / 'apart' / 'dying', (folder / 'output.txt').read_text()
    [line] = [line for line in output.splitlines() if line.startswith('error in process 0 of 2')]
    assert 'process 1 of 2 (counted from 0) has ended' in line
    assert f'iter_2.pth; go on with: sh tools/dist_train.sh {work_dir}/config_dying.py 2 --resume-from' in line
    meta = saved(work_dir)['meta']
    assert (meta['iter'], meta['processes']) == (2, 2)  # as many as have trained
    assert sorted(file.name for file in work_dir.glob('*.pth')) == ['iter_2.pth', 'latest.pth']


# -- what needs no second process -------------------------------------------------------------------------------------

def test_the_learning_rate_is_scaled_if_asked(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr('mmseg.distributed.processes.count', lambda: 4)
    for wanted, expected in ((None, 1e-3), (True, 4e-3)):
        cfg = tiny_config(images, tmp_path / f'run_{wanted}', 1, auto_scale_lr=wanted)
        groups = build_optim_wrapper(build_train_model(cfg), cfg).optimizer.param_groups
        assert {round(group['initial_lr'], 9) for group in groups} == {expected, 10 * expected}


def test_slurm_says_rank_and_meeting_place(tmp_path, monkeypatch) -> None:
    (tmp_path / 'scontrol').write_text('#!/bin/sh\n[ "$3" = "node[3-4]" ] && printf "node3\\nnode4\\n"\n')
    (tmp_path / 'scontrol').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    for name, value in dict(SLURM_PROCID='5', SLURM_NTASKS='8', SLURM_LOCALID='1', SLURM_JOB_ID='123456',
                            SLURM_JOB_NODELIST='node[3-4]', RANK='', WORLD_SIZE='').items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    monkeypatch.delenv('MASTER_PORT', raising=False)
    met: list[dict] = []
    monkeypatch.setattr(launch.dist, 'init_process_group', lambda *_, **kwargs: met.append(
        dict(kwargs, place=f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}')))
    monkeypatch.setattr(launch.dist, 'destroy_process_group', lambda: None)
    with launch.joined('slurm', 'cpu') as device:
        assert (device, launch.processes.rank(), launch.processes.count()) == ('cpu', 5, 8)
    assert launch.processes.count() == 1
    assert met[0]['rank'] == 5 and met[0]['world_size'] == 8 and met[0]['place'] == 'node3:23456'
    monkeypatch.delenv('MASTER_ADDR')
    monkeypatch.setenv('SLURM_JOB_NODELIST', 'node9')
    with pytest.raises(ValueError, match='node9.*MASTER_ADDR'), launch.joined('slurm', 'cpu'):
        pass


@pytest.mark.parametrize('launcher, variables, words', [
    ('pytorch', {}, 'needs RANK, WORLD_SIZE.*dist_train.sh'),
    ('slurm', {}, 'needs SLURM_PROCID.*srun'),
    ('none', dict(LOCAL_RANK='0', WORLD_SIZE='2'), 'torchrun has started 2 processes.*--launcher pytorch'),
])
def test_a_launcher_without_its_environment_is_refused(monkeypatch, launcher, variables, words) -> None:
    for name in (*launch.TORCHRUN, *launch.SLURM):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=words), launch.joined(launcher, 'cpu'):
        pass


@pytest.mark.parametrize('device, local, launcher, words', [
    ('cuda:1', 0, 'pytorch', 'CUDA_VISIBLE_DEVICES'), ('cuda', 2, 'pytorch', 'process 2 .* torch sees 2'),
])
def test_each_process_of_a_machine_needs_a_gpu_of_its_own(monkeypatch, device, local, launcher, words) -> None:
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ValueError, match=words):
        launch._own_device(device, local, launcher)


@pytest.mark.parametrize('script, given, called', [
    ('dist_train.sh', 'c.py 4 --seed 1', '--standalone --nproc_per_node=4 -m tools.train c.py --seed 1'),
    ('dist_test.sh', 'c.py c.pth 2 --eval mIoU',
     '--standalone --nproc_per_node=2 -m tools.test c.py c.pth --eval mIoU'),
])
def test_the_scripts_call_torchrun(script, given, called) -> None:
    done = subprocess.run(['sh', ROOT / 'tools' / script, *given.split()], capture_output=True, text=True,
                          env=dict(os.environ, PYTHON='echo'))
    assert done.stdout.split() == f'-m torch.distributed.run {called} --launcher pytorch'.split()
    for wrong, words in ((given.split()[:1], 'usage'), ([*given.split()[:-3], 'x', 'x', 'x'], 'not a number of GPUs')):
        done = subprocess.run(['sh', ROOT / 'tools' / script, *wrong], capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr


@pytest.mark.slow
def test_the_script_trains_stops_at_a_signal_and_goes_on(seven, tmp_path) -> None:
    run = tmp_path / 'run'
    cfg = tiny_config(seven, run, 400, uda=DACS, data=dict(workers_per_gpu=1))
    process = subprocess.Popen(['sh', ROOT / 'tools' / 'dist_train.sh', cfg.filename, '2', '--device', 'cpu'],
                               cwd=tmp_path, env=dict(QUIET, PYTHON=sys.executable), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not any('"iter": 3' in file.read_text() for file in run.glob('*.log.json')):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)[0]
    stopped = saved(run)['meta']['iter']
    assert process.returncode != 0 and 3 <= stopped < 400 and 'stopped, saved' in output, output
    done = subprocess.run(['sh', ROOT / 'tools' / 'dist_train.sh', cfg.filename, '2', '--device', 'cpu',
                           '--resume-from', 'auto', '--options', f'runner.max_iters={stopped + 2}'],
                          cwd=tmp_path, env=dict(QUIET, PYTHON=sys.executable), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert saved(run)['meta']['iter'] == stopped + 2
