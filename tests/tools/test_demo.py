"""make demo: with trainings that only pretend, and (slow) as users run it."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmseg.apis.compare import ComparedPredictions
from mmseg.cli import demo, demo_run
from mmseg.experiments.records import write_record
from tests.experiments.test_comparison import record

ROOT = Path(__file__).parents[2]
CLASSES = {'person': 0.0, 'car': 0.1, 'road': 0.8}


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Replaces what takes minutes; ``status`` is that of the trainings."""
    state = dict(status=0)

    def train(suite, configs, folder, flags, jobs, *, resume):
        assert configs == ['daformer_s0', 'source_only_s0']
        if not state['status']:
            for method, miou in (('source_only', 12.0), ('daformer', 21.5)):
                write_record(record(method, 0, miou, class_iou=dict(student=CLASSES)), folder)
        return state['status']

    pixels, ids = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.int64)
    predictions = dict(source_only=[ids], daformer=[ids])
    shown = ComparedPredictions(['a'], [pixels], [ids], predictions, ('road', ), [[1, 2, 3]])
    monkeypatch.setattr(demo_run, 'FOLDER', tmp_path)
    monkeypatch.setattr(demo_run, 'generate_from_experiment',
                        lambda runs, *args, **kwargs: [run['name'] for run in runs])
    monkeypatch.setattr(demo_run, 'draw_scenes', lambda args: None)
    monkeypatch.setattr(demo_run, 'train_suite', train)
    monkeypatch.setattr(demo_run, 'last_checkpoints', lambda records: {})
    monkeypatch.setattr(demo_run, 'compare_predictions', lambda networks, count, device: shown)
    return state


def test_it_says_what_was_seen(trainings: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert demo.main([]) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['gain'] == 9.5 and summary['daformer']['mIoU'] == 21.5 and set(summary['source_only']['IoU']) == set(
        CLASSES)
    text = capsys.readouterr().out
    assert ['mIoU', '12.0', '21.5', '+9.5'] in [line.split() for line in text.splitlines()]
    assert 'person 0 to 0, car 10 to 10' in text and (tmp_path / 'predictions.png').is_file()


def test_a_training_that_fails_is_the_status(trainings: dict[str, int], tmp_path: Path) -> None:
    trainings['status'] = 1
    assert demo.main([]) == 1 and not (tmp_path / 'summary.json').exists()


@pytest.mark.slow
def test_adaptation_gains_what_readme_promises() -> None:
    subprocess.run([sys.executable, '-m', 'tools.demo'], cwd=ROOT, check=True)
    assert json.loads((ROOT / 'work_dirs/demo/summary.json').read_text())['gain'] >= 8
