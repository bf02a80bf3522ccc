"""A resumed training is bit-equal to one that was never interrupted, however it ended."""
from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmseg.checkpoint.claim import LOCK
from mmseg.checkpoint.lookup import newest_whole
from mmseg.engine.interrupt import StopRequest
from mmseg.errors import CheckpointError
from tests.engine.tiny import tiny_config, train
from tools import train as train_tool

EXACT = dict(interval=1, hooks=[dict(type='PrecisionLoggerHook')])
UDA = dict(type='DACS', alpha=0.9, pseudo_threshold=0.4)
ADVSEG = dict(type='AdvSeg', lr_D=1e-3, alpha=0.9, mask_mode='separate', mask_lambda=1,
              mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=8))
MRM = dict(UDA, mrm=dict(dim=8, depth=1, heads=2, grid=(1, 1), mask_ratio=0.5))


def final(work_dir: Path) -> dict:
    return torch.load(work_dir / 'latest.pth', weights_only=True)


def losses(work_dir: Path) -> dict[int, dict[str, float]]:
    """Logged values by iteration; what was trained again after a kill must be the same twice."""
    found: dict[int, dict[str, float]] = {}
    for file in sorted(work_dir.glob('*.log.json')):
        for line in map(json.loads, file.read_text().splitlines()):
            if line.get('mode') == 'train':
                values = {key: value for key, value in line.items() if key not in ('time', 'data_time', 'memory')}
                assert found.setdefault(line['iter'], values) == values
    return found


def assert_same_end(a: Path, b: Path) -> None:
    first, second = final(a), final(b)
    assert first['meta']['iter'] == second['meta']['iter']
    assert list(first['state_dict']) == list(second['state_dict'])
    for key, value in first['state_dict'].items():
        assert torch.equal(value, second['state_dict'][key]), key
    optimizers = [{'': end['optimizer'], **end.get('own_optimizers', {})} for end in (first, second)]
    assert optimizers[0].keys() == optimizers[1].keys()
    for name, mine in optimizers[0].items():
        assert_same_optimizer(mine, optimizers[1][name])


def assert_same_optimizer(a: dict, b: dict) -> None:
    assert a['state'].keys() == b['state'].keys() and a['state']
    for index, entry in a['state'].items():
        assert all(torch.equal(value, b['state'][index][key]) for key, value in entry.items())
    assert a['param_groups'] == b['param_groups']


@pytest.mark.parametrize('uda', [None, UDA, ADVSEG, MRM], ids=['plain', 'dacs', 'advseg', 'mrm'])
def test_resuming_gives_the_losses_and_weights_of_an_uninterrupted_run(images, tmp_path, uda) -> None:
    common = dict(log_config=EXACT, uda=uda)
    train(tiny_config(images, tmp_path / 'whole', 7, checkpoint_config=dict(interval=3, max_keep_ckpts=-1), **common))
    # another number of workers, and no seed in the config: that of the checkpoint holds
    cfg = tiny_config(images, tmp_path / 'resumed', 7, data=dict(workers_per_gpu=2),
                      resume_from=str(tmp_path / 'whole' / 'iter_3.pth'), **common)
    cfg.seed = 99
    train(cfg)
    whole, resumed = losses(tmp_path / 'whole'), losses(tmp_path / 'resumed')
    assert sorted(resumed) == [4, 5, 6, 7]
    assert resumed == {iteration: whole[iteration] for iteration in resumed}
    assert_same_end(tmp_path / 'whole', tmp_path / 'resumed')
    assert ('own_optimizers' in final(tmp_path / 'whole')) == (uda is ADVSEG)


def start(config: str, **kwargs: object) -> subprocess.Popen:
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parents[2],
                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    return subprocess.Popen([sys.executable, '-m', 'tools.train', config], **{**options, **kwargs})


def wait_for(process: subprocess.Popen, condition: object) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)


@pytest.fixture(scope='module')
def whole(images, tmp_path_factory) -> Path:
    """The uninterrupted run that the killed ones are compared with."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    train_tool.main([tiny_config(images, folder, 40, log_config=EXACT, uda=UDA).filename])
    return folder


def test_a_killed_run_loses_the_work_since_the_last_checkpoint_only(images, tmp_path, whole) -> None:
    run = tmp_path / 'run'
    cfg = tiny_config(images, run, 40, log_config=EXACT, uda=UDA, checkpoint_config=dict(interval=5))
    process = start(cfg.filename)
    latest = run / 'latest.pth'  # a link that follows a moment after the file: the file alone is no finished save
    wait_for(process, lambda: latest.exists() and int(latest.resolve().stem.removeprefix('iter_')) >= 10)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 10 <= final(run)['meta']['iter'] < 40
    (run / '.unfinished_99.pth').write_bytes(b'half')
    train_tool.main([cfg.filename, '--resume-from', str(run / 'latest.pth')])
    assert not list(run.glob('.*.tmp'))
    assert losses(run) == losses(whole)
    assert_same_end(run, whole)


@pytest.mark.parametrize('number, code, workers, send', [
    (signal.SIGTERM, 143, 0, os.kill),
    (signal.SIGINT, 130, 2, os.killpg),  # a terminal sends Ctrl-C to the workers too
    (signal.SIGTERM, 143, 2, os.killpg),  # as does the end of a batch job
    (signal.SIGHUP, 129, 2, os.killpg),  # a closed terminal
])
def test_a_signal_saves_and_says_how_to_go_on(images, tmp_path, whole, number, code, workers, send) -> None:
    run = tmp_path / 'run'
    cfg = tiny_config(images, run, 40, log_config=EXACT, uda=UDA, data=dict(workers_per_gpu=workers))
    process = start(cfg.filename, start_new_session=True)
    wait_for(process, lambda: any('"iter": 3' in file.read_text() for file in run.glob('*.log.json')))
    send(process.pid, number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == code, output
    assert 'Traceback' not in output
    assert 3 <= final(run)['meta']['iter'] < 40
    command = output.split('go on with: ')[1].splitlines()[0]
    tokens = shlex.split(command)
    assert tokens[:3] == ['python', '-m', 'tools.train']
    train_tool.main(tokens[3:])
    assert losses(run) == losses(whole)
    assert_same_end(run, whole)


def reached(run: Path, iteration: int) -> bool:
    return any(f'"iter": {iteration}' in file.read_text() for file in run.glob('*.log.json'))


@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 0)])
def test_a_pipe_that_nobody_reads_loses_nothing(images, tmp_path, number, code) -> None:
    """Ctrl-C ends ``tee`` first; without a signal the training runs to its end."""
    run, iterations = tmp_path / 'run', 12 if number is None else 400
    cfg = tiny_config(images, run, iterations, log_config=EXACT)
    process = start(cfg.filename)
    wait_for(process, lambda: reached(run, 2))
    process.stdout.close()
    if number is not None:
        wait_for(process, lambda: reached(run, 5))  # messages into the closed pipe came before
        process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert final(run)['meta']['iter'] == iterations if number is None else 5 <= final(run)['meta']['iter'] < 400


@pytest.mark.parametrize('close, code', [(False, 130), (True, 129)])
def test_a_terminal_that_sends_ctrl_c_or_is_closed(images, tmp_path, close, code) -> None:
    run = tmp_path / 'run'
    cfg = tiny_config(images, run, 400, log_config=EXACT)
    ours, theirs = os.openpty()

    def own_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = start(cfg.filename, stdout=theirs, stderr=theirs, stdin=theirs, preexec_fn=own_terminal)
    os.close(theirs)
    reader = threading.Thread(target=drain, args=(ours, lambda: reached(run, 3)))
    reader.start()
    wait_for(process, lambda: reached(run, 3))
    reader.join()
    if close:
        os.close(ours)
    else:
        os.write(ours, b'\x03')
        drain(ours, lambda: process.poll() is not None)
    assert process.wait(timeout=120) == code
    assert 3 <= final(run)['meta']['iter'] < 400


def drain(terminal: int, enough: Callable[[], bool]) -> None:
    """Read what a program writes to a terminal, which else would stop it."""
    while not enough():
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:  # the program has ended
                return


def test_auto_resume_goes_on_or_starts(images, tmp_path) -> None:
    for expected in ([1, 2], []):
        cfg = tiny_config(images, tmp_path / 'run', 2, log_config=EXACT, resume_from='auto')
        train(cfg)
        newest = max((tmp_path / 'run').glob('*.log.json'), key=lambda file: file.stat().st_mtime_ns)
        lines = [json.loads(line) for line in newest.read_text().splitlines()]
        assert [line['iter'] for line in lines if 'mode' in line] == expected


def test_nohup_stays_in_force(monkeypatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def break_latest(folder: Path, how: str) -> None:
    latest, content = folder / 'latest.pth', (folder / 'iter_4.pth').read_bytes()
    latest.unlink()
    if how in ('dangling', 'looping'):
        latest.symlink_to('iter_99.pth' if how == 'dangling' else 'latest.pth')
    elif how != 'absent':
        latest.write_bytes(dict(empty=b'', truncated=content[:len(content) // 2])[how])


@pytest.fixture(scope='module')
def six(images, tmp_path_factory) -> Path:
    """A run with iter_2.pth, iter_4.pth and iter_6.pth."""
    folder = tmp_path_factory.mktemp('six') / 'run'
    train(tiny_config(images, folder, 6, log_config=EXACT, checkpoint_config=dict(interval=2, max_keep_ckpts=-1)))
    return folder


def copy_of(run: Path, folder: Path, without: int | None = None) -> Path:
    shutil.copytree(run, folder, symlinks=True, ignore=shutil.ignore_patterns(f'iter_{without}.pth', '*.log.json'))
    return folder


@pytest.mark.parametrize('how', ['dangling', 'looping', 'absent', 'empty', 'truncated'])
def test_auto_resume_goes_on_from_the_newest_whole_file(images, tmp_path, six, how) -> None:
    run = copy_of(six, tmp_path / 'run', without=6)
    break_latest(run, how)
    train(tiny_config(images, run, 6, log_config=EXACT, resume_from='auto',
                      checkpoint_config=dict(interval=2, max_keep_ckpts=-1)))
    assert sorted(losses(run)) == [5, 6]
    assert_same_end(run, six)
    assert any('latest.pth' in line and f'going on from {run}/iter_4.pth' in line
               for file in run.glob('*.log') for line in file.read_text().splitlines())


def test_auto_resume_passes_over_every_damaged_file(images, tmp_path, six) -> None:
    run = copy_of(six, tmp_path / 'run')
    (run / 'iter_6.pth').write_bytes((run / 'iter_6.pth').read_bytes()[:-1000])
    assert newest_whole(run)[0] == run / 'iter_4.pth'
    with pytest.raises(CheckpointError, match=rf'latest.pth.*damaged.*{run}/iter_4.pth is whole'):
        train(tiny_config(images, run, 8, resume_from=str(run / 'latest.pth')))
    for name in ('iter_2.pth', 'iter_4.pth'):
        (run / name).write_bytes(b'x')
    before = sorted(run.iterdir())
    with pytest.raises(CheckpointError, match=f'no checkpoint in {run} can be read.*start anew'):
        train(tiny_config(images, run, 8, resume_from='auto'))
    assert not set(before) - set(run.iterdir())


def test_auto_resume_knows_what_the_files_hold(images, tmp_path, six) -> None:
    run = copy_of(six, tmp_path / 'run')
    (run / 'latest.pth').unlink()
    (run / 'iter_2.pth').rename(run / 'iter_50.pth')
    assert newest_whole(run) == (run / 'iter_6.pth', f'{run}/latest.pth is missing; {run}/iter_50.pth holds iteration '
                                 '2, so it has another name than it was given')
    (run / 'iter_50.pth').unlink()
    (run / 'latest.pth').symlink_to('iter_4.pth')
    assert newest_whole(run) == (run / 'latest.pth', f'{run}/latest.pth holds iteration 4, although iter_6.pth lies '
                                 'beside it')


def test_auto_resume_goes_on_from_the_best_if_there_is_nothing_else(images, tmp_path, six) -> None:
    run = tmp_path / 'run'
    run.mkdir()
    shutil.copy(six / 'iter_4.pth', run / 'best_mIoU_iter_4.pth')
    train(tiny_config(images, run, 6, log_config=EXACT, resume_from='auto'))
    assert sorted(losses(run)) == [5, 6]


@pytest.mark.parametrize('name', ['latest.pth', 'iter_8.pth', 'best_mIoU_iter_8.pth'])
def test_a_folder_in_the_place_of_a_checkpoint_is_refused_at_the_start(images, tmp_path, six, name) -> None:
    run = copy_of(six, tmp_path / 'run')
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir()
    with pytest.raises(CheckpointError, match=f'{run}/{name} is a folder.*another'):
        train(tiny_config(images, run, 8, resume_from='auto'))
    (run / name).rmdir()
    (run / '.unfinished_1.pth').mkdir()  # which is nobody's checkpoint
    train(tiny_config(images, run, 7, resume_from='auto'))


def test_a_missing_file_names_the_whole_one_beside_it(images, tmp_path, six) -> None:
    run = copy_of(six, tmp_path / 'run')
    with pytest.raises(FileNotFoundError, match=rf'iter_5.pth\. {run}/latest.pth is whole'):
        train(tiny_config(images, run, 8, resume_from=str(run / 'iter_5.pth')))


@pytest.mark.parametrize('change', [dict(), dict(load_from='iter_6.pth'), dict(resume_from='iter_6.pth')],
                         ids=['anew', 'load', 'resume another'])
def test_checkpoints_of_another_training_are_not_overwritten(images, tmp_path, six, change) -> None:
    run = copy_of(six, tmp_path / 'run')
    before = {path: path.read_bytes() for path in run.glob('*.pth')}
    cfg = tiny_config(images, run, 6, **{key: str(six / name) for key, name in change.items()})
    with pytest.raises(CheckpointError, match=f'{run} holds iter_2.pth of another training.*--resume-from auto'):
        train_tool.main([cfg.filename])
    with pytest.raises(CheckpointError, match='of another training'):
        train(cfg)
    assert {path: path.read_bytes() for path in run.glob('*.pth')} == before
    assert not (run / 'code.tar.gz').exists()


@pytest.mark.parametrize('name', ['latest.pth', 'best_mIoU_iter_4.pth'])
def test_a_single_checkpoint_of_another_training_is_not_overwritten(images, tmp_path, six, name) -> None:
    (tmp_path / 'run').mkdir()
    shutil.copy(six / 'iter_4.pth', tmp_path / 'run' / name)
    with pytest.raises(CheckpointError, match=f'holds {name} of another training'):
        train(tiny_config(images, tmp_path / 'run', 6))
    with pytest.raises(CheckpointError, match=f'holds {name} of another training'):  # nor is the folder taken
        train(tiny_config(images, tmp_path / 'run', 6))


@pytest.mark.parametrize('make', [lambda run: run.write_text('a file'), lambda run: run.symlink_to(run.name),
                                  lambda run: run.joinpath(LOCK).mkdir(parents=True)], ids=['file', 'link', 'lock'])
def test_a_folder_that_cannot_be_used_is_named(images, tmp_path, make) -> None:
    run = tmp_path / 'run'
    make(run)
    with pytest.raises(CheckpointError, match=f'{run} cannot be written to .*choose another --work-dir'):
        train_tool.main([tiny_config(images, run, 2).filename])


def test_a_disk_that_is_full_from_the_start_is_named(images, tmp_path, monkeypatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mmseg.apis.train.dump_config', full)
    with pytest.raises(CheckpointError, match=f'{tmp_path}/run cannot be written to .No space left.*room'):
        train_tool.main([tiny_config(images, tmp_path / 'run', 2).filename])


def test_a_seed_that_torch_does_not_take_is_refused(images, tmp_path, six) -> None:
    content = torch.load(six / 'iter_2.pth', weights_only=True)
    content['meta']['seed'] = 10**30
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth: meta.seed has to be a whole number from 0'):
        train(tiny_config(images, tmp_path / 'run', 6, resume_from=str(tmp_path / 'a.pth')))


def test_a_second_training_in_a_folder_is_refused_while_the_first_runs(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 400, checkpoint_config=dict(interval=400))
    process = start(cfg.filename)
    wait_for(process, lambda: list((tmp_path / 'run').glob('*.log.json')))
    for resume_from in (None, 'auto'):
        cfg.resume_from = resume_from
        with pytest.raises(CheckpointError, match=f'another training, process {process.pid}, is writing into'):
            train(cfg)
    process.kill()
    process.communicate()
    cfg.runner.max_iters = 1
    train(cfg)  # nothing is left of the lock


def test_what_is_resumed_behind_its_last_iteration_is_evaluated(images, tmp_path) -> None:
    """A signal may have ended the training in the middle of its last evaluation."""
    for _ in range(2):
        train(tiny_config(images, tmp_path / 'run', 2, evaluation=dict(interval=2), resume_from='auto'))
    newest = max((tmp_path / 'run').glob('*.log.json'), key=lambda file: file.stat().st_mtime_ns)
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    assert [(line['mode'], line.get('step')) for line in lines if 'mode' in line] == [('val', 2)]


def test_another_length_is_allowed_with_a_warning(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 2))
    train(tiny_config(images, tmp_path / 'more', 3, resume_from=str(tmp_path / 'run' / 'latest.pth')))
    assert final(tmp_path / 'more')['meta']['iter'] == 3
    assert 'belongs to a training of 2 iterations' in next((tmp_path / 'more').glob('*.log')).read_text()


def changed(path: Path, change: object) -> str:
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return str(path)


@pytest.mark.parametrize('change, words', [
    (lambda c: c['meta'].pop('schema_version'), 'not written by this program.*--load-from'),
    (lambda c: c.pop('meta'), 'not written by this program.*--load-from'),
    (lambda c: c.pop('optimizer'), 'save_optimizer.*--load-from'),
    (lambda c: c['meta'].update(schema_version=1000), 'newer version'),
    (lambda c: c['state_dict'].pop('decode_head.linear_pred.bias'), 'another model.*linear_pred.bias'),
    (lambda c: c['optimizer']['param_groups'][0]['names'].pop(), 'parameter groups.*paramwise_cfg'),
], ids=['original', 'no meta', 'no optimizer', 'newer', 'other model', 'other groups'])
def test_what_cannot_be_continued_is_refused_with_the_remedy(images, tmp_path, change, words) -> None:
    train(tiny_config(images, tmp_path / 'run', 1))
    file = changed(tmp_path / 'run' / 'iter_1.pth', change)
    with pytest.raises(CheckpointError, match=f'iter_1.pth.*{words}'):
        train(tiny_config(images, tmp_path / 'again', 2, resume_from=file))


def test_a_missing_checkpoint_is_named(images, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        train(tiny_config(images, tmp_path / 'run', 1, resume_from=str(tmp_path / 'nowhere.pth')))


def test_the_command_line_resumes(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 3, checkpoint_config=dict(interval=2, max_keep_ckpts=-1))
    train_tool.main([cfg.filename])
    before = final(tmp_path / 'run')
    train_tool.main([cfg.filename, '--resume-from', str(tmp_path / 'run' / 'iter_2.pth')])
    after = final(tmp_path / 'run')
    assert all(torch.equal(before['state_dict'][key], value) for key, value in after['state_dict'].items())
