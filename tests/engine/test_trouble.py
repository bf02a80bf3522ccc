"""A full disk, an unreadable image, a lost folder in mid-run: one message, and the last checkpoint is whole."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from mmseg.engine.hooks import CheckpointHook
from mmseg.errors import CheckpointError, DataError
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
    assert not isinstance(error.value, FileNotFoundError) and saved(run) == 2
    assert 'Traceback' not in capfd.readouterr().err
