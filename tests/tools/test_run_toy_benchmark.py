"""The demo and the suite of the built-in benchmark, with trainings that only pretend, and (slow) with real ones."""
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg.experiments.records import write_record
from tests.experiments.test_comparison import record
from tests.experiments.test_logs import row
from tools import run_toy_benchmark as benchmark

ROOT = Path(__file__).parents[2]
MARKS = '<!-- toy benchmark -->\nold\n<!-- end of toy benchmark -->'


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Replaces the trainings of the demo; records them. ``failed`` is how they end, by name."""
    record = SimpleNamespace(trained=[], failed={})

    def train(trainings, jobs, project):
        for training in trainings:
            record.trained.append(training)
            gain = 0.2 if training.name == 'daformer' else 0.0
            scores = {'mIoU': 0.25 + gain, 'mAcc': 0.3, 'aAcc': 0.6, 'IoU.road': 0.5 + gain, 'IoU.sidewalk': 0.0}
            line = dict(mode='val', iter=2, step=7, **scores)
            (training.folder / '1.log.json').write_text(f'{json.dumps(line)}\n')
        return record.failed, int(bool(record.failed))

    monkeypatch.setattr(benchmark, 'DATA', tmp_path)
    monkeypatch.setattr(benchmark, 'draw_data', lambda args: (tmp_path / 'settings.json').write_text('{"seed": 0}'))
    monkeypatch.setattr(benchmark, 'train_side_by_side', train)
    monkeypatch.setattr('dev.toy_pictures.write_pictures', lambda networks, folder: folder)
    return record


def test_demo_writes_summary_with_scores_of_both_and_prints_the_gain(trainings, tmp_path, capsys):
    benchmark.main(['--demo', '--work-dir', str(tmp_path / 'demo')])
    summary = json.loads((tmp_path / 'demo/summary.json').read_text())
    assert set(summary) == {'source_only', 'daformer', 'seconds'}
    assert summary['daformer']['mIoU'] == 0.45 and summary['source_only']['IoU'] == {'road': 0.5, 'sidewalk': 0.0}
    assert ['mIoU', '25.0', '45.0', '+20.0'] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_is_finished_is_not_trained_again_unless_its_config_changes(trainings, tmp_path):
    call = ['--demo', '--work-dir', str(tmp_path / 'demo')]
    benchmark.main(call)
    benchmark.main(call)
    assert [training.name for training in trainings.trained] == ['daformer', 'source_only']
    assert str(ROOT / 'configs/toy/daformer.py') in trainings.trained[0].command
    benchmark.main([*call, '--iterations', '5'])
    assert len(trainings.trained) == 4 and 'runner.max_iters=5' in trainings.trained[3].command


def test_failed_training_names_its_console_log_and_is_not_finished(trainings, tmp_path):
    trainings.failed = dict(daformer='exit status 1')
    for count in (2, 3):  # the other one is finished
        with pytest.raises(SystemExit, match='daformer: exit status 1, see .*console.log'):
            benchmark.main(['--demo', '--work-dir', str(tmp_path / 'demo')])
        assert len(trainings.trained) == count


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Replaces run_experiments.py, which leaves records of two runs; records what it is asked."""
    asked = SimpleNamespace(calls=[], status=0)

    def main(args):
        asked.calls.append(args)
        for method, miou in (('dacs', 25), ('mine', 31)):
            write_record(record(method, 0, miou, miou + 1), tmp_path / 'results')
        return asked.status

    monkeypatch.setattr(benchmark, 'RESULTS', tmp_path / 'results')
    monkeypatch.setattr(benchmark.run_experiments, 'main', main)
    return asked


def test_benchmark_runs_the_suite_and_fills_the_report(suite, tmp_path):
    report = tmp_path / 'results.md'
    report.write_text(f'before\n{MARKS}\nafter\n')
    (tmp_path / 'logs/toy').mkdir(parents=True)
    shutil.copy(ROOT / 'docs/logs/toy/mic_s0.log.json', tmp_path / 'logs/toy')
    assert benchmark.main(['--seeds', '0', '1', '--parallel', '3', '--report', str(report)]) == 0
    assert suite.calls == [['--exp', '202', '--resume', '--jobs', '3', '--methods', 'source_only', 'dacs', 'daformer',
                            'oracle', '--seeds', '0', '1']]
    text = report.read_text()
    assert text.startswith('before\n') and text.endswith('after\n') and 'old' not in text
    students = text.partition('| road |')[0]
    assert row(students, 'dacs')[2] == '25.00' and row(students, 'mic')[2] == '23.48', 'records, and logs of before'
    assert (tmp_path / 'logs/toy/records/mine_s0.json').is_file()


def test_a_failed_suite_leaves_the_report_alone(suite, tmp_path):
    suite.status, report = 1, tmp_path / 'results.md'
    report.write_text(MARKS)
    assert benchmark.main(['--report', str(report)]) == 1
    assert report.read_text() == MARKS and not (tmp_path / 'logs').exists()


def test_report_without_marks_is_refused_before_the_training(suite, tmp_path):
    (tmp_path / 'results.md').write_text('mine')
    with pytest.raises(SystemExit, match='toy benchmark'):
        benchmark.main(['--report', str(tmp_path / 'results.md')])
    assert (tmp_path / 'results.md').read_text() == 'mine' and not suite.calls


def test_methods_are_those_of_the_folder(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(['--methods', 'mci'])
    assert "'mci'" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_with_real_trainings(tmp_path):
    subprocess.run([sys.executable, 'tools/run_toy_benchmark.py', '--demo', '--iterations', '3', '--work-dir',
                    str(tmp_path)], cwd=ROOT, check=True)
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert len(summary['daformer']['IoU']) == 19 and list((tmp_path / 'pictures').glob('*.png'))
