"""The runner of the built-in benchmark, with trainings that only pretend, and (slow) with real ones."""
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools import run_toy_benchmark as benchmark

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Replaces the training processes; records their commands. ``returncode`` is what they end with."""
    record = SimpleNamespace(commands=[], returncode=0)

    def train(command, **kwargs):
        record.commands.append(command)
        folder = Path(command[command.index('--work-dir') + 1])
        gain = 0.2 if 'daformer' in command[3] else 0.0
        scores = {'mIoU': 0.25 + gain, 'mAcc': 0.3, 'aAcc': 0.6, 'IoU.road': 0.5 + gain, 'IoU.sidewalk': 0.0}
        lines = [dict(mode='train', iter=7, **{'decode.loss_seg': 1.0}), dict(mode='val', iter=2, step=7, **scores)]
        (folder / '1.log.json').write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
        return SimpleNamespace(returncode=record.returncode)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, 'DATA', tmp_path)
    monkeypatch.setattr(benchmark, 'draw_data', lambda: (tmp_path / 'settings.json').write_text('{"seed": 0}'))
    monkeypatch.setattr(benchmark.subprocess, 'run', train)
    return record


def test_demo_writes_summary_with_scores_of_both_and_prints_the_gain(trainings, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('dev.toy_pictures.write_pictures', lambda networks, folder: folder)
    benchmark.main(['--demo', '--work-dir', str(tmp_path / 'demo')])
    summary = json.loads((tmp_path / 'demo/summary.json').read_text())
    assert set(summary) == {'source_only', 'daformer', 'seconds'}
    assert summary['daformer']['mIoU'] == 0.45 and summary['source_only']['IoU'] == {'road': 0.5, 'sidewalk': 0.0}
    assert ['mIoU', '25.0', '45.0', '+20.0'] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_benchmark_runs_each_method_with_each_seed_and_fills_the_report(trainings, tmp_path):
    report = tmp_path / 'results.md'
    report.write_text('before\n<!-- toy benchmark -->\nold\n<!-- end of toy benchmark -->\nafter\n')
    arguments = ['--seeds', '0', '1', '--work-dir', str(tmp_path / 'toy'), '--report', str(report)]
    benchmark.main(arguments)
    runs = {(Path(command[3]).stem, command[command.index('--seed') + 1]) for command in trainings.commands}
    assert runs == {(method, seed) for method in ('source_only', 'dacs', 'daformer', 'oracle') for seed in '01'}
    text = report.read_text()
    assert text.startswith('before\n') and text.endswith('after\n') and 'old' not in text
    assert '| daformer | 0, 1 |' in text and '| road | 50.0 | 50.0 | 70.0 | 50.0 |' in text
    assert len(list((tmp_path / 'logs/toy').glob('*.log.json'))) == 8

    benchmark.main(arguments)
    assert len(trainings.commands) == 8, 'finished runs are trained again'
    benchmark.main([*arguments, '--iterations', '5'])
    assert len(trainings.commands) == 16, 'runs of another length are taken for finished ones'


def test_methods_are_chosen_by_the_names_of_their_configs(trainings, tmp_path, capsys):
    report = tmp_path / 'results.md'
    report.write_text('<!-- toy benchmark -->\n<!-- end of toy benchmark -->\n')
    arguments = ['--work-dir', str(tmp_path / 'toy'), '--report', str(report), '--seeds', '0', '--methods']
    benchmark.main([*arguments, 'source_only', 'mic', 'hrda'])
    assert {Path(command[3]).stem for command in trainings.commands} == {'source_only', 'mic', 'hrda'}
    assert '| class | source_only | hrda | mic |' in report.read_text()
    benchmark.main([*arguments, 'dacs_mrm_ratio06', 'dacs_mrm'])
    rows = [line.split()[1] for line in report.read_text().splitlines() if '| 0 |' in line]
    assert rows == ['source_only', 'hrda', 'mic', 'dacs_mrm', 'dacs_mrm_ratio06'], 'runs of both calls, in order'
    with pytest.raises(SystemExit):
        benchmark.main([*arguments, 'mci'])
    assert "'mci'" in capsys.readouterr().err


def test_failed_training_names_its_console_log_and_is_not_finished(trainings, tmp_path):
    trainings.returncode = 1
    arguments = ['--demo', '--work-dir', str(tmp_path / 'demo')]
    for _ in range(2):
        count = len(trainings.commands)
        with pytest.raises(SystemExit, match='console.log'):
            benchmark.main(arguments)
        assert len(trainings.commands) > count


def test_report_without_marks_is_left_alone(trainings, tmp_path):
    (tmp_path / 'results.md').write_text('mine')
    with pytest.raises(SystemExit, match='toy benchmark'):
        benchmark.main(['--seeds', '0', '--work-dir', str(tmp_path / 'toy'), '--report', str(tmp_path / 'results.md')])
    assert (tmp_path / 'results.md').read_text() == 'mine'


@pytest.mark.slow
def test_demo_with_real_trainings(tmp_path):
    subprocess.run([sys.executable, 'tools/run_toy_benchmark.py', '--demo', '--iterations', '3', '--work-dir',
                    str(tmp_path)], cwd=ROOT, check=True)
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert len(summary['daformer']['IoU']) == 19 and list((tmp_path / 'pictures').glob('*.png'))
