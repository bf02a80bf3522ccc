"""Training as a whole: the loss falls, checkpoints come and go as configured, evaluation keeps the best."""
from __future__ import annotations

import errno
import json
import logging
import os
import signal
from pathlib import Path

import pytest
import torch
import torch._dynamo
from torch._dynamo.utils import counters

from mmseg.datasets import build_dataset
from mmseg.engine import saving
from mmseg.engine.compilation import compile_student
from mmseg.engine.env import collect_env
from mmseg.engine.runner import build_runner
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models import build_train_model
from mmseg.utils.device import resolve_device
from tests.engine.tiny import CLASSES, COLOURS, tiny_config, train


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def logged(work_dir: Path, mode: str) -> list[dict]:
    (file,) = work_dir.glob('*.log.json')
    return [line for line in map(json.loads, file.read_text().splitlines()) if line.get('mode') == mode]


def names(work_dir: Path) -> list[str]:
    return sorted(file.name for file in work_dir.glob('*.pth'))


def test_it_learns_four_pictures_by_heart(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 150, optimizer=dict(lr=6e-3), log_config=dict(interval=10),
                      evaluation=dict(interval=150, metric='mIoU'))
    cfg.optimizer.paramwise_cfg.custom_keys.head.lr_mult = 1.
    train(cfg)
    losses = [line['decode.loss_seg'] for line in logged(tmp_path / 'run', 'train')]
    assert losses[-1] < 0.4 * losses[0]
    assert logged(tmp_path / 'run', 'val')[0]['mIoU'] > 0.7


@pytest.mark.parametrize('amp', [None, dict(dtype='bfloat16')])
@pytest.mark.parametrize('device', [
    'cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))])
def test_uda_trains_and_scores_student_and_teacher(images, tmp_path, device, amp) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 3, uda=dict(type='DACS', alpha=0.9, pseudo_threshold=0.3), amp=amp,
                      device=device, evaluation=dict(interval=3, metric='mIoU', model=['student', 'teacher']))
    train(cfg)
    (line,) = logged(tmp_path / 'run', 'val')
    assert {'mIoU', 'teacher.mIoU', 'teacher.IoU.road'} <= set(line)
    assert {'decode.loss_seg', 'mix.decode.loss_seg'} <= set(logged(tmp_path / 'run', 'train')[0])


def test_checkpoint_is_laid_out_as_the_originals_and_loads_safely(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 2, uda=dict(type='DACS')))
    checkpoint = read(tmp_path / 'run' / 'latest.pth')
    meta = checkpoint['meta']
    assert set(checkpoint) == {'meta', 'state_dict', 'optimizer'}
    assert meta['iter'] == 2 and meta['seed'] == 0 and meta['max_iters'] == 2
    assert meta['CLASSES'] == list(CLASSES) and meta['PALETTE'] == [list(c) for c in COLOURS]
    assert 'DACS' in meta['config'] and 'torch' in meta['env_info']
    assert {'epoch', 'mmseg_version', 'exp_name', 'time', 'hook_msgs'} <= set(meta)
    assert {key.split('.')[0] for key in checkpoint['state_dict']} == {'model', 'ema_model'}
    optimized = [name for group in checkpoint['optimizer']['param_groups'] for name in group['names']]
    assert all(name.startswith('model.') for name in optimized)
    assert checkpoint['optimizer']['state'][0]['exp_avg'].abs().sum() > 0


def test_only_the_newest_checkpoints_stay_and_the_last_iteration_has_one(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 7, checkpoint_config=dict(interval=2, max_keep_ckpts=2)))
    assert names(tmp_path / 'run') == ['iter_6.pth', 'iter_7.pth', 'latest.pth']
    assert read(tmp_path / 'run' / 'latest.pth')['meta']['iter'] == 7


def test_files_of_another_run_are_not_removed(images, tmp_path) -> None:
    run, saving = tmp_path / 'run', dict(interval=2, max_keep_ckpts=1)
    train(tiny_config(images, run, 2, checkpoint_config=saving))
    (run / 'iter_9000.pth').write_bytes(b'precious')
    train(tiny_config(images, run, 4, checkpoint_config=saving, resume_from=str(run / 'latest.pth')))
    assert names(run) == ['iter_4.pth', 'iter_9000.pth', 'latest.pth']


@pytest.mark.parametrize('missing', [(), ('symlink',), ('symlink', 'link')])
def test_latest_is_a_link_or_else_a_copy(images, tmp_path, monkeypatch, missing) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, 'not on this file system')

    for name in missing:
        monkeypatch.setattr(os, name, refuse)
    train(tiny_config(images, tmp_path / 'run', 4, checkpoint_config=dict(interval=2, max_keep_ckpts=1)))
    latest = tmp_path / 'run' / 'latest.pth'
    assert latest.is_symlink() == (not missing)
    assert read(latest)['meta']['iter'] == 4


def test_a_full_disk_gives_one_message_and_spares_what_is_there(images, tmp_path, monkeypatch) -> None:
    real = saving.torch.save

    def save(checkpoint: dict, file: object) -> None:
        if checkpoint['meta']['iter'] == 4:
            file.write(b'half a checkpoint')
            raise OSError(errno.ENOSPC, 'No space left on device')
        real(checkpoint, file)

    monkeypatch.setattr(saving.torch, 'save', save)
    with pytest.raises(CheckpointError, match='iter_4.pth.*No space left.*MB are free.*latest.pth'):
        train(tiny_config(images, tmp_path / 'run', 6, checkpoint_config=dict(interval=2)))
    assert names(tmp_path / 'run') == ['iter_2.pth', 'latest.pth']
    assert not [file for file in (tmp_path / 'run').iterdir() if file.name.endswith('.tmp')]
    assert read(tmp_path / 'run' / 'latest.pth')['meta']['iter'] == 2


def scores_by_iteration(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    left = iter(scores)
    monkeypatch.setattr('mmseg.engine.loops.evaluate_network',
                        lambda *_, **__: dict(aAcc=0.5, mIoU=next(left), mAcc=0.5))


def test_the_best_checkpoint_stays(images, tmp_path, monkeypatch) -> None:
    scores_by_iteration(monkeypatch, [0.3, 0.5, 0.4, 0.2])
    train(tiny_config(images, tmp_path / 'run', 4, evaluation=dict(interval=1, save_best='mIoU')))
    assert names(tmp_path / 'run') == ['best_mIoU_iter_2.pth', 'iter_4.pth', 'latest.pth']
    assert read(tmp_path / 'run' / 'best_mIoU_iter_2.pth')['meta']['iter'] == 2
    assert read(tmp_path / 'run' / 'latest.pth')['meta']['hook_msgs'] == dict(
        best_score=0.5, best_ckpt='best_mIoU_iter_2.pth')


def test_a_resumed_run_remembers_the_best(images, tmp_path, monkeypatch) -> None:
    evaluation, saving = dict(interval=2, save_best='auto'), dict(interval=2, max_keep_ckpts=-1)
    scores_by_iteration(monkeypatch, [0.5, 0.6, 0.4, 0.7])
    for resume_from in (None, str(tmp_path / 'run' / 'iter_2.pth')):
        train(tiny_config(images, tmp_path / 'run', 4, evaluation=evaluation, checkpoint_config=saving,
                          resume_from=resume_from))
    # 0.5 at 2 and 0.6 at 4; resumed at 2 with 0.5 as the best, 0.4 at 4 is none
    assert read(tmp_path / 'run' / 'latest.pth')['meta']['hook_msgs']['best_score'] == 0.5


def test_an_unknown_score_to_keep_is_refused(images, tmp_path) -> None:
    with pytest.raises(ValueError, match="save_best: 'mIuO'.*mIoU"):
        train(tiny_config(images, tmp_path / 'run', 1, evaluation=dict(interval=1, save_best='mIuO')))


@pytest.mark.parametrize('evaluation, classes, words', [
    (dict(save_best='IoU.rode'), 3, "save_best='IoU.rode' is no score of this run.*mIoU.*IoU.NAME"),
    (dict(save_best='teacher.mIoU', model=['student', 'teacher']), 4, 'predicts 4 classes, but CustomDataset has 3'),
])
def test_what_the_first_evaluation_would_meet_is_refused_before_the_first_iteration(
        images, tmp_path, evaluation, classes, words) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 9, uda=dict(type='DACS'), evaluation=dict(evaluation, interval=5))
    cfg.model.decode_head.num_classes = classes
    with pytest.raises(ValueError, match=words) as caught:
        train(cfg)
    assert 'Saved' not in str(caught.value) and not names(tmp_path / 'run')


@pytest.mark.parametrize('option', [
    dict(workflow=[('train', 1), ('val', 1)]), dict(workflow=[('train', 2)]), dict(workflow=3),
    dict(momentum_config=dict(policy='cyclic'))])
def test_phases_and_schedules_that_do_not_exist_are_refused(images, tmp_path, option) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        train(tiny_config(images, tmp_path / 'run', 1, **option))


@pytest.mark.parametrize('workflow', [None, [('train', 1)], [['train', 1]]])
def test_training_alone_is_a_workflow(images, tmp_path, workflow) -> None:
    train(tiny_config(images, tmp_path / 'run', 1, workflow=workflow))


def test_an_evaluation_without_data_is_refused_before_the_first_iteration(images, tmp_path) -> None:
    with pytest.raises(ConfigError, match='data.val is missing, which evaluation needs'):
        train(tiny_config(images, tmp_path / 'run', 3, evaluation=dict(interval=1), data=dict(val=None)))


def test_the_best_checkpoint_of_a_class_whose_name_is_no_file_name(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1, evaluation=dict(interval=1, save_best='IoU.road/lane'))
    for section in (cfg.data.train, cfg.data.val):
        section.classes = ('road/lane', 'sky', 'car')
    train(cfg)
    assert 'best_IoU.road_lane_iter_1.pth' in names(tmp_path / 'run')


def test_evaluation_leaves_training_as_it_was(images, tmp_path) -> None:
    for name, evaluation in (('without', None), ('with', dict(interval=1, metric='mIoU'))):
        train(tiny_config(images, tmp_path / name, 3, evaluation=evaluation))
    without, with_ = (read(tmp_path / name / 'latest.pth')['state_dict'] for name in ('without', 'with'))
    assert all(torch.equal(without[key], with_[key]) for key in without)


def test_a_teacher_that_does_not_exist_cannot_be_scored(images, tmp_path) -> None:
    with pytest.raises(ValueError, match="evaluation.model names 'teacher'.*student"):
        train(tiny_config(images, tmp_path / 'run', 1, evaluation=dict(interval=1, model=['student', 'teacher'])))


def test_weights_are_loaded_from_a_checkpoint(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'first', 2))
    cfg = tiny_config(images, tmp_path / 'second', 1, optimizer=dict(lr=1e-30), seed=5,
                      load_from=str(tmp_path / 'first' / 'latest.pth'))
    train(cfg)
    first, second = (read(tmp_path / name / 'latest.pth')['state_dict'] for name in ('first', 'second'))
    for key in (key for key in first if 'running' not in key and 'num_' not in key):
        # a zero may have moved by the learning rate
        torch.testing.assert_close(second[key], first[key], rtol=0, atol=1e-20, msg=key)


def test_panels_are_drawn(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 3, log_config=dict(img_interval=2), uda=dict(type='DACS')))
    assert sorted(file.name for file in (tmp_path / 'run' / 'debug').iterdir()) == [
        '000001_0.png', '000001_1.png', '000003_0.png', '000003_1.png']


def test_determinism_is_switched_on_and_off_again(images, tmp_path) -> None:
    def runner(name: str, **changes: object) -> None:
        cfg = tiny_config(images, tmp_path / name, 1, cudnn_benchmark=True, **changes)
        build_runner(cfg, build_train_model(cfg), build_dataset(cfg.data.train), cfg.work_dir)

    runner('strict', deterministic=True)
    assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    runner('free')
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark and not torch.backends.cudnn.deterministic


def test_a_device_that_is_not_there_is_refused(images, tmp_path) -> None:
    with pytest.raises(ValueError, match="'cuda:63'.*--device cpu"):
        train(tiny_config(images, tmp_path / 'run', 1, device='cuda:63'))


def test_without_a_gpu_everything_falls_to_the_cpu() -> None:
    expected = 'cuda' if torch.cuda.is_available() else 'cpu'
    assert resolve_device(None).type == resolve_device('auto').type == expected
    assert collect_env()['torch'] == torch.__version__


def interrupting_evaluation(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    def evaluate(network: object, loader: object, **_: object) -> dict[str, float]:
        images = iter(loader)
        next(images)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        assert next(images, None) is None
        return {}

    monkeypatch.setattr('mmseg.engine.loops.evaluate_network', evaluate)


def test_an_interrupted_evaluation_ends_at_once_and_saves(images, tmp_path, monkeypatch) -> None:
    before = signal.getsignal(signal.SIGINT)  # a program in the background ignores it
    interrupting_evaluation(monkeypatch, times=1)
    with pytest.raises(SystemExit) as stopped:
        train(tiny_config(images, tmp_path / 'run', 5, evaluation=dict(interval=2)))
    assert stopped.value.code == 130 and read(tmp_path / 'run' / 'latest.pth')['meta']['iter'] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_quits_at_once(images, tmp_path, monkeypatch) -> None:
    interrupting_evaluation(monkeypatch, times=2)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(images, tmp_path / 'run', 5, evaluation=dict(interval=2)))
    assert names(tmp_path / 'run') == []


def test_compiled_training_keeps_its_keys_and_numbers_and_validates_uncompiled(images, tmp_path) -> None:
    torch._dynamo.reset()
    counters.clear()
    for name, setting in (('plain', None), ('compiled', dict(backend='eager'))):
        train(tiny_config(images, tmp_path / name, 2, compile=setting, evaluation=dict(interval=1, metric='mIoU')))
    plain, compiled = (read(tmp_path / name / 'latest.pth')['state_dict'] for name in ('plain', 'compiled'))
    assert list(plain) == list(compiled)
    for key, value in plain.items():
        torch.testing.assert_close(compiled[key], value)
    assert counters['stats']['unique_graphs'] == 2  # backbone and head at the size of the crops, and no other


def test_dynamo_giving_up_is_reported(images, tmp_path, monkeypatch) -> None:
    limit = 'recompile_limit' if hasattr(torch._dynamo.config, 'recompile_limit') else 'cache_size_limit'
    monkeypatch.setattr(torch._dynamo.config, limit, 1)
    torch._dynamo.reset()
    cfg = tiny_config(images, tmp_path / 'run', 2)
    student, messages = build_train_model(cfg), []
    logger = logging.getLogger('test')
    logger.addFilter(lambda record: messages.append(record.getMessage()))
    compile_student(student, dict(backend='eager', dynamic=False), logger)
    for side in (32, 64):
        student.backbone(torch.zeros(1, 3, side, side))
    assert any('recompile limit' in message and 'compile=None' in message for message in messages)
