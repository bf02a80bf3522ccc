"""Training the runs of a suite, and what is left of them: records, tables, curves."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg
from mmseg.apis.test import score_with_target_statistics, target_dataset
from mmseg.config.reading import load_config
from mmseg.datasets import build_dataset
from mmseg.experiments.comparison import compare, report
from mmseg.experiments.named import is_finished
from mmseg.experiments.pictures import draw_curves
from mmseg.experiments.records import Record, kept_record, record_of, write_record
from mmseg.experiments.side_by_side import Training, train_side_by_side
from mmseg.experiments.suites import Suite, config_hash
from mmseg.report.logs import RUN_STAMP
from mmseg.utils.atomic import write_json
from mmseg.utils.device import resolve_device

TRAIN = (sys.executable, '-m', 'mmseg', 'train')
PROJECT = Path(mmseg.__file__).parents[1]  # where the processes find this package


def train_suite(suite: Suite, configs: Sequence[Path], folder: Path, flags: Sequence[str], jobs: int, *,
                resume: bool = False) -> int:
    """Train generated configs side by side, and say at the end which runs have failed.

    Args:
        folder: gets a record of each run that is finished, at once.
        flags: more arguments of the command that trains a config.
        jobs: trainings at a time.
        resume: leave out finished runs, and continue the others from their last checkpoint, if any.

    Returns:
        The exit status, see :func:`~mmseg.experiments.side_by_side.train_side_by_side`.

    Raises:
        DataError: if images are missing.
    """
    trainings: list[Training] = []
    paths: dict[str, Path] = {}
    checked: set[str] = set()
    for path in configs:
        cfg = load_config(path)
        name = RUN_STAMP.sub('', cfg.name)
        if resume and is_finished(path) and _keep_record(suite, path, folder):
            print(f'{name}: finished before, see {cfg.work_dir}', flush=True)
            continue
        if cfg.base_hash not in checked:  # missing data shows at once, and classes are counted by one process
            checked.add(cfg.base_hash)
            build_dataset(cfg.data.train)
            scored = build_dataset(cfg.data.val)
            if suite.target_images is not None:
                target_dataset(cfg, suite.target_images, scored.CLASSES)
        paths[name] = path
        command = [*TRAIN, str(path), *(['--resume-from', 'auto'] if resume else []), *flags]
        trainings.append(Training(name, command, Path(cfg.work_dir), cfg.runner.max_iters))
    failed, status = train_side_by_side(trainings, jobs, PROJECT,
                                        lambda run: _keep_record(suite, paths[run.name], folder))
    if failed:
        print(f'{len(failed)} of {len(configs)} runs are not finished: '
              f'{", ".join(f"{name} ({why})" for name, why in failed.items())}. The same command with --resume goes on')
    return status


def _keep_record(suite: Suite, config: Path, folder: Path) -> bool:
    """Write the record of the run of a generated config, if its last iteration has been evaluated; whether it has."""
    record = record_of(suite, config)
    if record is None:
        return False
    kept = kept_record(record, folder)
    if kept is not None and (suite.target_images is None or kept.has_statistics_of(suite.target_images)):
        return True  # all is there; it would be scored again whenever the suite is resumed
    if suite.target_images is not None:
        cfg = load_config(config)
        checkpoint = Path(record.work_dir) / f'iter_{record.iterations}.pth'
        scores = score_with_target_statistics(cfg, str(checkpoint), suite.target_images,
                                              resolve_device(cfg.get('device')))
        record = record.with_target_statistics(scores, suite.target_images)
    write_record(record, folder)
    return True


def write_results(suite: Suite, records: Sequence[Record], folder: Path) -> str:
    """Write results.md, results.json and curves.png; returns the text of the first."""
    text = report(f'Suite {suite.name}: {suite.about}', records, _notes(suite, records))
    (folder / 'results.md').write_text(text, encoding='utf-8')
    write_json(folder / 'results.json', compare(records))
    draw_curves(records, folder / 'curves.png')
    return text


def _notes(suite: Suite, records: Sequence[Record]) -> list[str]:
    """Which methods have other configs by now than their runs had."""
    changed = [record.name for record in records if record.base_hash and suite.config(record.method).is_file()
               and record.base_hash != config_hash(suite.config(record.method))]
    return [f'Of an earlier state of their configs: {", ".join(changed)}.'] if changed else []


def last_checkpoints(records: Sequence[Record]) -> dict[str, tuple[Path, Path]]:
    """Config and last checkpoint by method, of the first seed whose files are still there."""
    found: dict[str, tuple[Path, Path]] = {}
    for record in records:
        folder = Path(record.work_dir)
        files = folder / f'{folder.name}.py', folder / f'iter_{record.iterations}.pth'
        if record.work_dir and all(file.is_file() for file in files):
            found.setdefault(record.method, files)
    return found
