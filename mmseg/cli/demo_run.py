"""What the demo trains, compares and says."""
from __future__ import annotations

import time
from pathlib import Path

from mmseg.apis.compare import compare_predictions
from mmseg.cli.make_toy_data import main as draw_scenes
from mmseg.experiments.named import generate_from_experiment
from mmseg.experiments.numbered import find_suite
from mmseg.experiments.pictures import draw_predictions
from mmseg.experiments.records import Record, read_records
from mmseg.experiments.suite_runs import last_checkpoints, train_suite
from mmseg.utils.atomic import write_json

SUITE = 204
FOLDER = Path('work_dirs', 'demo')
METHODS = {'daformer': 'adapted', 'source_only': 'source only'}  # the longer training starts first
SHOWN_IMAGES = 4


def table(before: Record, after: Record) -> str:
    """IoU of both students in percent, by class and on the mean."""
    classes = before.class_iou['student']
    rows = [(name, 100 * classes[name], 100 * after.class_iou['student'][name]) for name in classes]
    lines = [f'{"IoU, %":15}{"source only":>12}{"adapted":>9}{"gain":>8}']
    for name, old, new in [*rows, ('mIoU', before.final('student'), after.final('student'))]:
        lines.append(f'{name:15}{old:12.1f}{new:9.1f}{new - old:+8.1f}')
    return '\n'.join(lines)


def closing(before: Record, after: Record, seconds: float) -> str:
    """What was seen, and what to do next."""
    old, new = before.final('student'), after.final('student')
    found = ', '.join(f'{name} {100 * before.class_iou["student"][name]:.0f} to '
                      f'{100 * after.class_iou["student"][name]:.0f}' for name in ('person', 'car'))
    return (f'After {seconds:.0f} seconds: a network that learned on drawn images alone has {old:.1f} mIoU on camera '
            f'images; the same network,\nadapted with unlabelled camera images, has {new:.1f} ({new - old:+.1f}; '
            f'{found}). Look at {FOLDER}/predictions.png.\n'
            'Next: your own images, docs/how-to/own_data.md; which config for which data, docs/how-to/choose_config.md')


def run(jobs: int) -> int:
    """Train, ``jobs`` at a time, and compare; returns the exit status of the trainings."""
    start = time.perf_counter()
    draw_scenes([])
    suite = find_suite(SUITE)
    assert suite is not None, 'the table has it'
    runs = [run for method in METHODS for run in suite.runs([method], seeds=(0, ))]
    configs = generate_from_experiment(runs, SUITE, 'local', resume=True)
    status = train_suite(suite, configs, FOLDER, ['--device', 'cpu'], jobs, resume=True)
    if status:
        return status
    records = {record.method: record for record in read_records(suite, FOLDER)}
    before, after = records['source_only'], records['daformer']
    shown = compare_predictions(last_checkpoints([before, after]), SHOWN_IMAGES, 'cpu')
    predictions = {METHODS[method]: maps for method, maps in shown.predictions.items()}
    draw_predictions(dict(image=shown.images, truth=shown.labels, **predictions), shown.classes, shown.palette,
                     FOLDER / 'predictions.png')
    seconds = time.perf_counter() - start
    write_json(FOLDER / 'summary.json', dict(
        seconds=round(seconds, 1), gain=round(after.final('student') - before.final('student'), 2),
        **{method: dict(mIoU=record.final('student'), IoU=record.class_iou['student'])
           for method, record in records.items()}))
    print(f'{table(before, after)}\n{closing(before, after, seconds)}')
    return 0
