"""--meters from the command line to the log: what is logged when, and that nothing else changes."""
from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mmseg.cli import training
from mmseg.datasets import build_dataset
from mmseg.datasets.custom import CustomDataset
from mmseg.engine import meters_hook
from mmseg.engine.meters_hook import scores
from mmseg.errors import ConfigError
from mmseg.models.uda.meters import Reading
from tests.engine.tiny import CLASSES, tiny_config, train
from tools import analyze_logs
from tools import train as command

DACS = dict(type='DACS', alpha=0.9, pseudo_threshold=0.4)
EVALUATION = dict(interval=2, metric='mIoU')
PRECISE = dict(interval=1, hooks=[dict(type='PrecisionLoggerHook', by_epoch=False)])
STAGE = {'aAcc', 'mIoU', 'confident', 'confident_aAcc'}


def logged(run: Path, mode: str) -> list[dict[str, Any]]:
    (file, ) = run.glob('*.log.json')
    return [line for line in map(json.loads, file.read_text().splitlines()) if line.get('mode') == mode]


def text(run: Path) -> str:
    return next(run.glob('*.log')).read_text()


def without_time(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in ('time', 'data_time', 'memory')} for line in lines]


def test_from_the_command_to_the_tables_and_off_is_the_same_training(images, tmp_path, capsys, monkeypatch) -> None:
    reads, label = [], CustomDataset.label
    monkeypatch.setattr(CustomDataset, 'label', lambda self, *args: reads.append(self) or label(self, *args))
    cfg = tiny_config(images, tmp_path / 'run', 5, uda=DACS, log_config=PRECISE, data=dict(val=None), evaluation=None)
    assert not training.configure(command.parse_args([cfg.filename])).log_config.get('meters')
    command.main([cfg.filename, '--work-dir', str(tmp_path / 'off')])
    assert not reads and not logged(tmp_path / 'off', 'meters')
    command.main([cfg.filename, '--work-dir', str(tmp_path / 'on'), '--meters'])
    assert len(reads) == 1 + 5 * 2, 'the first one at the start, then those of the batches'
    off, on = (torch.load(tmp_path / name / 'latest.pth', weights_only=True) for name in ('off', 'on'))
    assert all(torch.equal(value, on['state_dict'][key]) for key, value in off['state_dict'].items())
    for number, state in off['optimizer']['state'].items():
        assert all(torch.equal(value, on['optimizer']['state'][number][key]) for key, value in state.items())
    assert without_time(logged(tmp_path / 'off', 'train')) == without_time(logged(tmp_path / 'on', 'train'))
    [line] = logged(tmp_path / 'on', 'meters')
    assert line.pop('mode') == 'meters' and line.pop('iter') == 5
    assert set(line) == {*(f'meters.pseudo.{score}' for score in STAGE),
                         *(f'meters.pseudo.{score}.{name}' for score in ('IoU', 'confident') for name in CLASSES),
                         'meters.grad.decode.loss_seg', 'meters.grad.mix.decode.loss_seg'}
    assert all(0 <= value <= 1 for value in line.values()) and 'Iter(meters) [5]\tmeters.pseudo.aAcc: 0.' in text(
        tmp_path / 'on')
    capsys.readouterr()
    analyze_logs.main([str(tmp_path / 'on'), '--meters', '--out', str(tmp_path / 'meters.png')])
    printed = capsys.readouterr().out
    assert 'on, iteration 5' in printed and f'| pseudo | {100 * line["meters.pseudo.aAcc"]:.2f} |' in printed
    assert '| car | ' in printed and '| mix.decode.loss_seg | ' in printed
    assert (tmp_path / 'meters.png').stat().st_size > 1000


def test_a_record_comes_with_each_evaluation_and_resuming_repeats_it(images, tmp_path) -> None:
    changes = dict(uda=dict(DACS, instance_bank=dict(size=6, warmup=0, smoothing=0.5, region='all')),
                   evaluation=EVALUATION, log_config=dict(PRECISE, meters=True, img_interval=4),
                   checkpoint_config=dict(interval=2, max_keep_ckpts=-1), optimizer_config=dict(accumulate=2))
    train(tiny_config(images, tmp_path / 'run', 5, **changes))
    records = logged(tmp_path / 'run', 'meters')
    assert [line['iter'] for line in records] == [line['step'] for line in logged(tmp_path / 'run', 'val')] == [2, 4, 5]
    assert {f'meters.refined.instance_bank.{score}' for score in STAGE} <= set(records[0])
    assert len(list((tmp_path / 'run' / 'debug').iterdir())) == 4
    train(tiny_config(images, tmp_path / 'more', 5, **changes, resume_from=str(tmp_path / 'run' / 'iter_2.pth')))
    assert logged(tmp_path / 'more', 'meters') == records[1:]


def test_only_the_last_iterations_are_measured(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(meters_hook, 'COUNTED', 2)
    monkeypatch.setattr(meters_hook, 'COMPARED', 1)
    seen, read = [], meters_hook.Meters.read
    monkeypatch.setattr(meters_hook.Meters, 'read', lambda self: seen.append(read(self)) or seen[-1])
    train(tiny_config(images, tmp_path / 'run', 7, uda=DACS, evaluation=dict(interval=4), log_config=dict(meters=True)))
    pixels = 2 * 32 * 32
    assert [reading.counts['pseudo'].sum() for reading in seen] == [2 * pixels, 2 * pixels]
    assert [reading.norms['decode.loss_seg'][1] for reading in seen] == [1, 1]


def test_trackers_get_the_values_and_health_looks_elsewhere(images, tmp_path, monkeypatch) -> None:
    told: list[tuple[str, set[str], int]] = []
    monkeypatch.setattr('mmseg.engine.trackers.NoTrackers.add_scalars',  # where the visualizer would stand
                        lambda self, values, step: told.append((next(iter(values)), set(values), step)))
    train(tiny_config(images, tmp_path / 'run', 2, uda=DACS, log_config=dict(meters=True)))
    [(_, names, step)] = [call for call in told if call[0].startswith('meters/')]
    assert {'meters/pseudo.mIoU', 'meters/grad.decode.loss_seg'} <= names and step == 2


# what cannot be measured


def unlabelled(cfg: Any, **target: Any) -> Any:
    cfg.data.train.target.update(target)
    return cfg


@pytest.mark.parametrize('case, words', [
    ('no ann_dir', 'has no ann_dir'), ('no folder', '4 of 4 images in .*img have no label map in .*nowhere, such as'),
    ('missing', '1 of 4 images in .* have no label map in .*ann, such as .*3.png'), ('ids', r'holds the ids \[7'),
    ('pipeline', 'does not end in DefaultFormatBundle and Collect')])
def test_a_target_without_labels_is_told_once_and_the_rest_is_logged(images, tmp_path, case, words) -> None:
    folder = shutil.copytree(images, tmp_path / 'images')
    cfg = tiny_config(images, tmp_path / 'run', 2, uda=DACS, log_config=dict(meters=True))
    unlabelled(cfg, img_dir=str(folder / 'img'), ann_dir=str(folder / 'ann'))
    if case == 'missing':
        (folder / 'ann' / '3.png').unlink()
    elif case == 'ids':
        cv2.imwrite(str(folder / 'ann' / '0.png'), np.full((32, 48), 7, np.uint8))
    elif case == 'pipeline':
        steps = cfg.data.train.target.pipeline
        unlabelled(cfg, pipeline=[*steps[:-2], dict(type='ImageToTensor', keys=['img']), steps[-1]])
    else:
        unlabelled(cfg, ann_dir=None if case == 'no ann_dir' else str(folder / 'nowhere'))
    train(cfg)
    log = text(tmp_path / 'run')
    assert log.count('meters: the labels of the target training images cannot be read') == 1
    assert re.search(words, log)
    [line] = logged(tmp_path / 'run', 'meters')
    assert {'meters.pseudo.confident', 'meters.pseudo.confident.car', 'meters.grad.mix.decode.loss_seg'} <= set(line)
    assert not [name for name in line if 'IoU' in name or 'Acc' in name]


def test_a_compiled_student_has_no_gradients_and_a_plain_training_no_meters(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr('mmseg.engine.runner.compile_student', lambda *_: None)
    train(tiny_config(images, tmp_path / 'run', 1, uda=DACS, log_config=dict(meters=True),
                      compile={}))
    [line] = logged(tmp_path / 'run', 'meters')
    assert 'remove compile' in text(tmp_path / 'run') and not [name for name in line if 'grad' in name]
    with pytest.raises(ValueError, match='--meters.*has no uda section'):
        train(tiny_config(images, tmp_path / 'plain', 1, log_config=dict(meters=True)))
    with pytest.raises(ConfigError, match='log_config.meters'):
        tiny_config(images, tmp_path / 'typo', 1, uda=DACS, log_config=dict(meters='yes'))


def test_a_data_set_that_pairs_nothing_says_so(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run', 1)
    with pytest.raises(meters_hook.DataError, match='a CustomDataset has no target images'):
        build_dataset(cfg.data.train).deliver_target_labels()


# the scores


def test_scores_of_a_known_confusion_over_two_processes() -> None:
    unsure, confident = np.zeros((4, 3), int), np.zeros((4, 3), int)
    unsure[0, 0], unsure[1, 0], unsure[3, 0] = 4, 2, 1  # labels 0, 1 and unknown, all said to be 0
    confident[0, 0], confident[1, 1] = 3, 6
    first, second = np.stack([unsure, 0 * unsure]), np.stack([0 * confident, confident])
    readings = Reading({'pseudo': first}, {'a': (4., 2)}), Reading({'pseudo': second}, {'a': (5., 1), 'b': (1., 1)})
    found = scores(readings, CLASSES)
    assert found == pytest.approx({
        'pseudo.aAcc': 13 / 15, 'pseudo.mIoU': (7 / 9 + 6 / 8) / 2, 'pseudo.IoU.road': 7 / 9, 'pseudo.IoU.sky': 6 / 8,
        'pseudo.confident_aAcc': 1, 'pseudo.confident': 9 / 16, 'pseudo.confident.road': 3 / 10,
        'pseudo.confident.sky': 1, 'grad.a': 3, 'grad.b': 1}, abs=1e-4)
    assert scores([], CLASSES) == {} and 'pseudo.confident.2' not in scores(readings, ())
    assert scores(readings, ())['pseudo.IoU.1'] == found['pseudo.IoU.sky'], 'without names'
