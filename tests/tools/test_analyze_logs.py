from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'tools' / 'analyze_logs.py'


def analyze(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, args)], capture_output=True, text=True, check=False)


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


def row(output: str, name: str) -> list[str]:
    found = [line for line in output.splitlines() if line.startswith(f'| {name} ')]
    assert len(found) == 1, output
    return [cell.strip() for cell in found[0].strip('|').split('|')]


def test_table_gives_mean_and_spread_over_seeds(tmp_path: Path):
    logs = [write_log(tmp_path / f'251121_1010_toy_daformer_s{seed}_0a1b{seed}' / '20251121_101010.log.json', miou)
            for seed, miou in enumerate((0.40, 0.42, 0.47))]
    logs.append(write_log(tmp_path / 'toy_source_s0.log.json', 0.2))
    result = analyze(*logs, '--table', '--keys', 'mIoU', 'IoU.road', 'decode.loss_seg')
    assert result.returncode == 0, result.stderr
    # sample standard deviation of 40, 42, 47 is sqrt(13) = 3.6056
    assert row(result.stdout, 'toy_daformer') == [
        'toy_daformer', '0, 1, 2', '200', '43.00 ± 3.61 (40.00..47.00)', '90.00 ± 0.00 (90.00..90.00)',
        '0.50 ± 0.00 (0.50..0.50)']
    assert row(result.stdout, 'toy_source')[3] == '20.00'


def test_table_shows_runs_that_stopped_early(tmp_path: Path):
    logs = [write_log(tmp_path / 'toy_s0.log.json', 0.4), write_log(tmp_path / 'toy_s1.log.json', 0.4, iters=100)]
    assert row(analyze(*logs, '--table').stdout, 'toy')[2] == '100, 200'


def test_logs_of_a_resumed_run_are_joined(tmp_path: Path):
    folder = tmp_path / 'toy_s3'
    write_log(folder / '20251121_101010.log.json', 0.1, iters=120)
    write_log(folder / '20251121_111111.log.json', 0.5, iters=200, first=150)
    cells = row(analyze(folder, '--table').stdout, 'toy')
    assert cells[1:] == ['3', '200', '50.00']


@pytest.mark.parametrize('name', ['curves.png', 'curves.pdf'])
def test_curves_are_drawn_without_a_screen(tmp_path: Path, name: str):
    log = write_log(tmp_path / 'a.log.json', 0.4)
    out = tmp_path / name
    result = analyze(log, '--keys', 'decode.loss_seg', 'mIoU', '--legend', 'loss', 'score', '--title', 'toy', '--style',
                     'ggplot', '--smooth', 2, '--out', out)
    assert result.returncode == 0, result.stderr
    assert out.stat().st_size > 1000


def test_validation_points_lie_at_the_training_iteration(tmp_path: Path):
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from analyze_logs import read_log, smoothed
    finally:
        sys.path.pop(0)
    log = read_log(write_log(tmp_path / 'a.log.json', 0.4))
    assert log.series('mIoU') == ([100, 200], [0.2, 0.4])
    assert log.series('decode.loss_seg')[0] == [50, 100, 150, 200]
    assert smoothed([1., 3., 5., 7.], 2) == [1., 2., 4., 6.]
    with (tmp_path / 'a.log.json').open('a') as file:
        file.write('{"mode": "val", "iter": 500, "step": 230, "mIoU": 0.6}\n')
    assert read_log(tmp_path / 'a.log.json').series('mIoU')[0] == [100, 200, 230]


@pytest.mark.parametrize(('content', 'hint'), [
    ('{"mode": "train", "iter": 50, "loss": 1.0}\n', 'loss'),  # lists what there is
    ('not json\n{"mode": "train", "iter": 50, "loss": 1.0}\n', 'line 1'),
    ('{"env_info": "x"}\n', 'no training'),
])
def test_useless_logs_are_named(tmp_path: Path, content: str, hint: str):
    path = tmp_path / 'bad.log.json'
    path.write_text(content)
    result = analyze(path, '--table', '--keys', 'mIoU')
    assert result.returncode == 1
    assert 'bad' in result.stderr and hint in result.stderr and 'Traceback' not in result.stderr


def test_missing_log_and_wrong_legend_are_explained(tmp_path: Path):
    result = analyze(tmp_path / 'none', '--table')
    assert result.returncode == 1 and str(tmp_path / 'none') in result.stderr
    log = write_log(tmp_path / 'a.log.json', 0.4)
    result = analyze(log, '--legend', 'a', 'b', '--out', tmp_path / 'x.png')
    assert result.returncode == 1 and '1 curves' in result.stderr


def test_unfinished_last_line_is_no_error(tmp_path: Path):
    log = write_log(tmp_path / 'cut_s0.log.json', 0.4)
    log.write_text(log.read_text() + '{"mode": "train", "iter": 2')
    assert row(analyze(log, '--table').stdout, 'cut')[3] == '40.00'
