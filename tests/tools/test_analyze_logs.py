"""tools/analyze_logs.py as people call it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.test_logs import row, write_log
from tools.analyze_logs import smoothed

SCRIPT = Path(__file__).parents[2] / 'tools' / 'analyze_logs.py'


def analyze(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, args)], capture_output=True, text=True, check=False)


def test_the_table_is_printed(tmp_path: Path):
    logs = [write_log(tmp_path / f'toy_s{seed}.log.json', miou) for seed, miou in enumerate((0.4, 0.5))]
    result = analyze(*logs, '--table', '--keys', 'mIoU', 'IoU.road')
    assert result.returncode == 0, result.stderr
    assert row(result.stdout, 'toy') == ['toy', '0, 1', '200', '45.00 ± 7.07 (40.00..50.00)',
                                         '90.00 ± 0.00 (90.00..90.00)']


def test_curves_are_smoothed_by_the_last_values():
    assert smoothed([1., 3., 5., 7.], 2) == [1., 2., 4., 6.]


@pytest.mark.parametrize('name', ['curves.png', 'curves.pdf'])
def test_curves_are_drawn_without_a_screen(tmp_path: Path, name: str):
    log = write_log(tmp_path / 'a.log.json', 0.4)
    out = tmp_path / name
    result = analyze(log, '--keys', 'decode.loss_seg', 'mIoU', '--legend', 'loss', 'score', '--title', 'toy', '--style',
                     'ggplot', '--smooth', 2, '--out', out)
    assert result.returncode == 0, result.stderr
    assert out.stat().st_size > 1000


def test_a_log_without_meters_is_named(tmp_path: Path):
    result = analyze(write_log(tmp_path / 'a.log.json', 0.4), '--meters')
    assert result.returncode == 1 and result.stderr.endswith('a has no meters: train with --meters\n')


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
