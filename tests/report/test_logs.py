"""The JSON logs of runs: what is read, and what the table over seeds says."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmseg.errors import LogError
from mmseg.report.logs import read_log, table


def write_log(path: Path, miou: float, iters: int = 200, first: int = 50, val_iter: int = 500) -> Path:
    """A log as the mmcv runner writes it: environment, training lines, validation lines with the number of images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records: list[dict] = [{'env_info': 'sys.platform: linux', 'seed': 0}]
    for iteration in range(first, iters + 1, 50):
        records.append({'mode': 'train', 'iter': iteration, 'lr': 6e-5, 'decode.loss_seg': 100. / iteration})
        if iteration % 100 == 0:
            records.append({'mode': 'val', 'epoch': 1, 'iter': val_iter, 'lr': 6e-5, 'mIoU': miou * iteration / iters,
                            'IoU.road': 0.9})
    path.write_text('\n'.join(json.dumps(record) for record in records) + '\n')
    return path


def row(text: str, name: str) -> list[str]:
    """The cells of a table's only row of this name."""
    found = [line for line in text.splitlines() if line.startswith(f'| {name} ')]
    assert len(found) == 1, text
    return [cell.strip() for cell in found[0].strip('|').split('|')]


def tabulated(*paths: Path, keys: Sequence[str] = ('mIoU', )) -> str:
    return table([read_log(path) for path in paths], keys)


def test_table_gives_mean_and_spread_over_seeds(tmp_path: Path) -> None:
    logs = [write_log(tmp_path / f'251121_1010_toy_daformer_s{seed}_0a1b{seed}' / '20251121_101010.log.json', miou)
            for seed, miou in enumerate((0.40, 0.42, 0.47))]
    logs.append(write_log(tmp_path / 'toy_source_s0.log.json', 0.2))
    text = tabulated(*logs, keys=['mIoU', 'IoU.road', 'decode.loss_seg'])
    # sample standard deviation of 40, 42, 47 is sqrt(13) = 3.6056
    assert row(text, 'toy_daformer') == [
        'toy_daformer', '0, 1, 2', '200', '43.00 ± 3.61 (40.00..47.00)', '90.00 ± 0.00 (90.00..90.00)',
        '0.50 ± 0.00 (0.50..0.50)']
    assert row(text, 'toy_source')[3] == '20.00'


def test_table_shows_runs_that_stopped_early(tmp_path: Path) -> None:
    logs = [write_log(tmp_path / 'toy_s0.log.json', 0.4), write_log(tmp_path / 'toy_s1.log.json', 0.4, iters=100)]
    assert row(tabulated(*logs), 'toy')[2] == '100, 200'


def test_logs_of_a_resumed_run_are_joined(tmp_path: Path) -> None:
    folder = tmp_path / 'toy_s3'
    write_log(folder / '20251121_101010.log.json', 0.1, iters=120)
    write_log(folder / '20251121_111111.log.json', 0.5, iters=200, first=150)
    assert row(tabulated(folder), 'toy')[1:] == ['3', '200', '50.00']


def test_validation_points_lie_at_the_training_iteration(tmp_path: Path) -> None:
    log = read_log(write_log(tmp_path / 'a.log.json', 0.4))
    assert log.series('mIoU') == ([100, 200], [0.2, 0.4])
    assert log.series('decode.loss_seg')[0] == [50, 100, 150, 200]
    with (tmp_path / 'a.log.json').open('a') as file:
        file.write('{"mode": "val", "iter": 500, "step": 230, "mIoU": 0.6}\n')
    assert read_log(tmp_path / 'a.log.json').series('mIoU')[0] == [100, 200, 230]


def test_unfinished_last_line_is_no_error(tmp_path: Path) -> None:
    log = write_log(tmp_path / 'cut_s0.log.json', 0.4)
    log.write_text(log.read_text() + '{"mode": "train", "iter": 2')
    assert row(tabulated(log), 'cut')[3] == '40.00'


def test_unknown_keys_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    log = read_log(write_log(tmp_path / 'a.log.json', 0.4))
    with pytest.raises(LogError, match="a has no values of 'mIou'; it has: IoU.road, decode.loss_seg, lr, mIoU"):
        log.series('mIou')


def test_meters_are_read_beside_the_scores(tmp_path: Path) -> None:
    path = write_log(tmp_path / 'a.log.json', 0.4)
    with path.open('a') as file:
        file.write('{"mode": "meters", "iter": 200, "meters.pseudo.mIoU": 0.5}\n')
    log = read_log(path)
    assert log.series('meters.pseudo.mIoU') == ([200], [0.5]) and log.series('mIoU')[0] == [100, 200]
    assert 'meters.pseudo.mIoU' not in log.val[200]
