"""A full disk, an unreadable image, a lost folder in mid-run: one message, and the last checkpoint is whole."""
from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
from pathlib import Path

import pytest
import torch

from mmseg.engine.hooks import CheckpointHook
from mmseg.errors import CheckpointError, DataError, ProcessLost
from tests.engine.test_resume import start, wait_for
from tests.engine.tiny import tiny_config, train, write_images

EVERY_OTHER = dict(interval=2, max_keep_ckpts=-1)


def after(monkeypatch: pytest.MonkeyPatch, iterations: int, act: object) -> None:
    """Call ``act()`` once so many iterations are finished."""
    original = CheckpointHook.after_train_iter

    def hook(self: CheckpointHook, runner: object, **kwargs: object) -> None:
        original(self, runner, **kwargs)
        if runner.train_loop.finished == iterations:
            act()

    monkeypatch.setattr(CheckpointHook, 'after_train_iter', hook)


def saved(folder: Path) -> int:
    return torch.load(folder / 'latest.pth', weights_only=True)['meta']['iter']


def test_an_unreadable_image_saves_what_is_done_and_the_run_goes_on_after_repair(tmp_path, monkeypatch) -> None:
    images = write_images(tmp_path / 'images')
    good = {path: path.read_bytes() for path in (images / 'img').iterdir()}
    run = tmp_path / 'run'
    cfg = tiny_config(images, run, 6, checkpoint_config=EVERY_OTHER)
    after(monkeypatch, 3, lambda: [path.write_bytes(b'no picture') for path in good])
    with pytest.raises(DataError, match=r'img/\d.png.*Saved .*iter_3.pth; go on with: .*latest.pth'):
        train(cfg)
    assert saved(run) == 3
    for path, content in good.items():
        path.write_bytes(content)
    cfg.resume_from = str(run / 'latest.pth')
    after(monkeypatch, 99, lambda: None)
    train(cfg)
    assert saved(run) == 6


def test_an_image_that_is_unreadable_from_the_start_saves_nothing(tmp_path) -> None:
    images = write_images(tmp_path / 'images')
    for path in (images / 'img').iterdir():
        path.write_bytes(b'no picture')
    with pytest.raises(DataError) as error:
        train(tiny_config(images, tmp_path / 'run', 2))
    assert 'Saved' not in str(error.value) and not list((tmp_path / 'run').glob('*.pth'))


def test_a_lost_work_dir_is_named_and_not_made_anew(images, tmp_path, monkeypatch) -> None:
    run, moved = tmp_path / 'run', tmp_path / 'elsewhere'
    after(monkeypatch, 3, lambda: shutil.move(run, moved))
    with pytest.raises(OSError, match='run/.*json could not be written: its folder is gone.*Put it back, then resume'):
        train(tiny_config(images, run, 6, checkpoint_config=EVERY_OTHER))
    assert saved(moved) == 2 and not run.exists()


def test_a_lost_folder_of_checkpoints_is_named(images, tmp_path, monkeypatch) -> None:
    folder = tmp_path / 'checkpoints'
    after(monkeypatch, 3, lambda: shutil.move(folder, tmp_path / 'elsewhere'))
    with pytest.raises(CheckpointError, match='checkpoints/iter_4.pth could not be written: its folder is gone'):
        train(tiny_config(images, tmp_path / 'run', 6, checkpoint_config=dict(EVERY_OTHER, out_dir=str(folder))))
    assert saved(tmp_path / 'elsewhere') == 2


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs a device that is always full')
def test_a_log_on_a_full_disk_ends_in_one_message(images, tmp_path, monkeypatch, capfd) -> None:
    run = tmp_path / 'run'

    def fill() -> None:
        log = next(run.glob('*.log.json'))
        log.unlink()
        log.symlink_to('/dev/full')

    after(monkeypatch, 3, fill)
    with pytest.raises(OSError, match='No space left.*MB are free there. Earlier checkpoints are untouched') as error:
        train(tiny_config(images, run, 6, checkpoint_config=EVERY_OTHER))
    assert not isinstance(error.value, FileNotFoundError) and saved(run) == 4
    assert 'Traceback' not in capfd.readouterr().err


def ended_by(monkeypatch: pytest.MonkeyPatch, images: Path, run: Path, error: Exception, at: int = 3,
             **changes: object) -> pytest.ExceptionInfo:
    """Train until ``error`` comes from somewhere after iteration ``at``."""
    def fail() -> None:
        raise error

    after(monkeypatch, at, fail)
    with pytest.raises(Exception) as caught:  # noqa: B017, the kind is what the tests are about
        train(tiny_config(images, run, 6, **dict(dict(checkpoint_config=EVERY_OTHER), **changes)))
    return caught


@pytest.mark.parametrize('error', [RuntimeError('of a decoder'), KeyError('x'), MemoryError(), OSError(5, 'x'),
                                   UnicodeDecodeError('utf-8', b'', 0, 1, 'x'), AssertionError()], ids=repr)
def test_any_error_saves_what_is_done_and_says_how_to_go_on(images, tmp_path, monkeypatch, error) -> None:
    caught = ended_by(monkeypatch, images, tmp_path / 'run', error)
    assert caught.value is error and saved(tmp_path / 'run') == 3
    log = next((tmp_path / 'run').glob('*.log')).read_text()
    assert f'{type(error).__name__} has ended the training. Saved' in log and 'iter_3.pth; go on with: ' in log


def test_an_error_that_lets_nothing_be_saved_stays_what_it_is(images, tmp_path, monkeypatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError('the device is gone')

    error = KeyError('first')
    monkeypatch.setattr('mmseg.engine.hooks.pack', fail)
    caught = ended_by(monkeypatch, images, tmp_path / 'run', error, at=1)
    assert caught.value is error
    assert 'could not be saved: the device is gone' in next((tmp_path / 'run').glob('*.log')).read_text()


DEAD = RuntimeError('DataLoader worker (pid 123) is killed by signal: Killed. ')


def test_a_dead_worker_is_a_lost_process(images, tmp_path, monkeypatch) -> None:
    caught = ended_by(monkeypatch, images, tmp_path / 'run', DEAD)
    assert caught.type is ProcessLost and saved(tmp_path / 'run') == 3
    assert caught.match(r'worker \(pid 123\) is killed.*lower data.workers_per_gpu\. Saved .*iter_3.pth; go on with: ')


def test_a_worker_that_dies_while_a_checkpoint_is_written_is_no_full_disk(images, tmp_path, monkeypatch) -> None:
    original, calls = torch.save, []

    def die(*args: object, **kwargs: object) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise DEAD
        original(*args, **kwargs)

    monkeypatch.setattr(torch, 'save', die)
    with pytest.raises(ProcessLost, match='worker .pid 123.*Saved .*iter_2.pth'):
        train(tiny_config(images, tmp_path / 'run', 6, checkpoint_config=EVERY_OTHER))
    assert saved(tmp_path / 'run') == 2


def test_a_killed_worker_ends_in_one_message(images, tmp_path) -> None:
    run = tmp_path / 'run'
    cfg = tiny_config(images, run, 400, data=dict(workers_per_gpu=2), checkpoint_config=dict(interval=400))
    process = start(cfg.filename)
    wait_for(process, lambda: any('"iter": 3' in file.read_text() for file in run.glob('*.log.json')))
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    output = process.communicate(timeout=90)[0]
    assert process.returncode == 1 and 'Traceback' not in output, output
    assert 'go on with: python -m tools.train' in output.splitlines()[-1] and saved(run) >= 3


@pytest.mark.parametrize('kind', [logging.StreamHandler, logging.FileHandler])
def test_a_worker_that_dies_while_a_line_is_logged_is_not_overheard(images, tmp_path, monkeypatch, capfd, kind) -> None:
    """Torch raises wherever the program is, so in a log handler, which must not take it for a console that is gone."""
    original, calls = logging.StreamHandler.flush, []

    def die(self: logging.StreamHandler) -> None:
        original(self)
        if type(self) is kind and not calls:
            calls.append(self)
            raise DEAD

    after(monkeypatch, 3, lambda: monkeypatch.setattr(logging.StreamHandler, 'flush', die))
    with pytest.raises(ProcessLost, match='worker .pid 123.*Saved .*iter_4.pth'):
        train(tiny_config(images, tmp_path / 'run', 6, checkpoint_config=EVERY_OTHER))
    print('who still listens')
    assert saved(tmp_path / 'run') == 4 and 'who still listens' in capfd.readouterr().out


def test_the_command_that_goes_on_can_be_pasted(images, tmp_path, monkeypatch) -> None:
    run = tmp_path / "it's a run; 100 %"
    run.mkdir()
    (run / f'config_{run.name}.py').touch()
    caught = ended_by(monkeypatch, images, run, DEAD)
    words = shlex.split(str(caught.value).partition('go on with: ')[2])
    assert words[-3:] == [str(run / f'config_{run.name}.py'), '--resume-from', str(run / 'latest.pth')]
