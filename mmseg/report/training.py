"""The report that a training leaves: from its last evaluation, nothing is predicted for it."""
from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mmseg.engine.runner import TrainRunner
from mmseg.report.curves import curves_of_folder
from mmseg.report.files import write_report
from mmseg.report.result import evaluated
from mmseg.utils.config_text import format_config

FOLDER = 'report'


def report_training(runner: TrainRunner) -> Path | None:
    """Write ``<work_dir>/report`` about the networks that the last evaluation has scored.

    A report that cannot be written is no reason for a finished training to fail: that is logged.

    Args:
        runner: of process 0, after :meth:`~mmseg.engine.runner.TrainRunner.train`.

    Returns:
        The page; None if nothing has been evaluated at the end, or it could not be written.
    """
    loop = runner.val_loop
    if loop is None or not loop.found:
        return None
    try:
        return _write(runner)
    except Exception as error:
        runner.logger.warning(f'the report of this training could not be written: {error}')
        return None


def _write(runner: TrainRunner) -> Path:
    loop, run = runner.val_loop, Path(runner.work_dir)
    dataset = loop.dataset
    facts = {'config': str(runner.cfg.filename), 'iteration': str(runner.train_loop.finished),
             'data': f'{len(dataset)} images of {type(dataset).__name__}', 'seed': str(runner.seed),
             'written': f'{datetime.now():%Y-%m-%d %H:%M}'}
    environment = dict(line.split(': ', 1) for line in runner.env_info.splitlines())
    curves, config = curves_of_folder(run), format_config(runner.cfg.to_dict())
    results = [evaluated(f'{run.resolve().name}, {name}', found.scores, found.images, dataset.CLASSES, dataset.PALETTE,
                         curves=curves, facts=facts, environment=environment, config=config)
               for name, found in loop.found.items()]
    return write_report(run / FOLDER, run.resolve().name, results, next(iter(loop.found.values())).images.scores)
