"""What a run writes: text lines, JSON lines, names of the files; and that values stay on the device meanwhile."""
from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import torch

from mmseg.engine import runner as runner_module
from mmseg.engine.logging import LogBuffer
from mmseg.errors import NonFiniteLoss
from mmseg.report.comparison import load_results
from tests.engine.tiny import tiny_config, train


def json_lines(work_dir: Path) -> list[dict]:
    (file,) = work_dir.glob('*.log.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_buffer_gives_means_over_the_iterations_that_had_the_value() -> None:
    buffer = LogBuffer()
    buffer.add({'loss': torch.tensor(1.), 'acc': torch.tensor([10.]), 'weight': 0.5})
    buffer.add({'loss': torch.tensor(3.), 'weight': 1.5})
    assert buffer.means() == {'loss': 2., 'acc': 10., 'weight': 1.}
    buffer.clear()
    assert buffer.means() == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_adding_does_not_wait_for_the_device() -> None:
    buffer, value = LogBuffer(), torch.ones((), device='cuda')
    torch.cuda.set_sync_debug_mode('error')
    try:
        for _ in range(3):
            buffer.add({'loss': value})
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert buffer.means() == {'loss': 1.}


def test_files_lie_in_the_work_dir_and_hold_the_familiar_lines(images, tmp_path) -> None:
    work_dir = tmp_path / 'run'
    train(tiny_config(images, work_dir, 5, log_config=dict(interval=2), evaluation=dict(interval=5, metric='mIoU')))
    assert sorted(re.sub(r'\d{8}_\d{6}', 'TIME', file.name) for file in work_dir.iterdir()) == [
        '.training.lock', 'TIME.log', 'TIME.log.json', 'iter_5.pth', 'latest.pth', 'report']
    text = next(file for file in work_dir.glob('*.log')).read_text()
    number = r'[\d.]+'
    assert re.search(rf'Iter \[2/5\]\tlr: \d\.\d{{3}}e-\d\d, eta: \d+:\d\d:\d\d, time: {number}, data_time: {number}, '
                     rf'memory: \d+, decode\.loss_seg: {number}, decode\.acc_seg: {number}', text)
    assert 'seed: 0' in text and 'torch: ' in text and '4 samples of CustomDataset' in text
    start, *lines = json_lines(work_dir)
    assert start['seed'] == 0 and start['exp_name'] == 'config_run.py' and 'mode' not in start
    assert [(line['mode'], line['iter']) for line in lines] == [('train', 2), ('train', 4), ('train', 5), ('val', 4)]
    assert list(lines[0])[:3] == ['mode', 'epoch', 'iter']
    assert {'lr', 'memory', 'time', 'data_time', 'decode.loss_seg', 'decode.acc_seg'} <= set(lines[0])
    assert all(round(line['decode.loss_seg'], 5) == line['decode.loss_seg'] for line in lines[:3])
    assert {'aAcc', 'mIoU', 'mAcc', 'IoU.road', 'Acc.car'} <= set(lines[3])


def test_a_training_leaves_a_report_of_its_last_evaluation(images, tmp_path) -> None:
    train(tiny_config(images, tmp_path / 'run', 2, uda=dict(type='DACS', alpha=0.9),
                      evaluation=dict(interval=1, model=['student', 'teacher'])))
    student, teacher = load_results([tmp_path / 'run'])
    last = json_lines(tmp_path / 'run')[-1]
    assert student.name == 'run, student' and teacher.name == 'run, teacher'
    assert student.scores['mIoU'] == last['mIoU'] and teacher.scores['mIoU'] == last['teacher.mIoU']
    assert student.curves['mIoU, %']['mIoU'][0] == [1, 2] and student.facts['iteration'] == '2'
    assert len(student.images) == 4 and 'torch' in student.environment and 'max_iters=2' in student.config


def test_a_report_that_cannot_be_written_is_no_reason_to_fail(images, tmp_path) -> None:
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'report').write_text('in the way')
    train(tiny_config(images, tmp_path / 'run', 1, evaluation=dict(interval=1)))
    assert 'report of this training could not be written' in next((tmp_path / 'run').glob('*.log')).read_text()


def test_lines_are_means_over_the_interval(images, tmp_path) -> None:
    hooks = [dict(type='PrecisionLoggerHook')]
    for name, interval in (('single', 1), ('mean', 3)):
        train(tiny_config(images, tmp_path / name, 3, log_config=dict(interval=interval, hooks=hooks)))
    single = [line['decode.loss_seg'] for line in json_lines(tmp_path / 'single')[1:]]
    (mean,) = (line['decode.loss_seg'] for line in json_lines(tmp_path / 'mean')[1:])
    assert len(single) == 3 and mean == pytest.approx(sum(single) / 3, rel=1e-6)


def test_runs_of_one_process_and_of_one_second_log_to_their_own_files(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(time, 'strftime', lambda *_: '20300101_000000')
    for seed, name in ((1, 'a'), (2, 'b'), (3, 'a')):
        train(tiny_config(images, tmp_path / name, 1, seed=seed, checkpoint_config=None))
    seeds = {str(file.relative_to(tmp_path)): re.findall(r'^seed: (\d)', file.read_text(), re.M)
             for file in sorted(tmp_path.glob('*/*.log'))}
    assert seeds == {'a/20300101_000000.log': ['1'], 'a/20300101_000000_2.log': ['3'], 'b/20300101_000000.log': ['2']}
    assert len(list(tmp_path.glob('*/*.log.json'))) == 3


@pytest.mark.parametrize('slow', [True, False])
def test_bfloat16_on_a_cpu_that_emulates_it_is_reported(images, tmp_path, monkeypatch, slow) -> None:
    monkeypatch.setattr(runner_module, 'bfloat16_is_slow', lambda device_type: slow)
    train(tiny_config(images, tmp_path / 'run', 1, amp=dict(dtype='bfloat16')))
    assert ('no bfloat16 arithmetic' in next((tmp_path / 'run').glob('*.log')).read_text()) == slow


def test_a_lost_loss_stops_training_with_its_name_and_spares_the_checkpoint(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 40, optimizer=dict(lr=1e30), checkpoint_config=dict(interval=1),
                      lr_config=None, log_config=dict(interval=40))
    with pytest.raises(NonFiniteLoss, match=r'iteration \d+.*decode\.loss_seg = nan'):
        train(cfg)
    state = torch.load(tmp_path / 'run' / 'latest.pth', weights_only=True)
    assert state['meta']['iter'] < 40
