"""What is kept of a run of a suite: one small JSON file, from which tables can be made without logs and checkpoints."""
from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mmseg.config.reading import load_config
from mmseg.errors import LogError
from mmseg.experiments.suites import Suite, place
from mmseg.report.logs import SEED, Log, read_log
from mmseg.utils.atomic import write_json

RECORDS = 'records'  # the folder of these files, in the folder of a suite's results
NETWORKS = ('student', 'teacher')
TARGET_STATISTICS = 'target_statistics'  # the student whose batch norms have the target's statistics, at the end only
SCORES = ('mIoU', 'mAcc', 'aAcc')


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        method, seed: which run of the suite it is.
        config: the method's config file.
        base_hash: of its content when it was trained; None: not known.
        git_revision: the first digits; '' if it is not known.
        iterations: length of the training.
        scores: mIoU, mAcc and aAcc, 0 to 1, by network ('student', perhaps 'teacher' and 'target_statistics') and
            iteration of the evaluation.
        class_iou: IoU, 0 to 1, by network and class after the last iteration.
        seconds_per_iteration: median of what was logged; evaluations are not part of it.
        peak_memory_mb: see :func:`mmseg.engine.logging.peak_memory`.
        torch: version.
        machine: GPU, or processor and threads.
        work_dir: folder of the run, where its checkpoints were written.
        target_images: folder whose statistics 'target_statistics' has; None: not known, or there is no such score.
    """
    method: str
    seed: int
    config: str
    base_hash: str | None
    git_revision: str
    iterations: int
    scores: dict[str, dict[int, dict[str, float]]]
    class_iou: dict[str, dict[str, float]]
    seconds_per_iteration: float
    peak_memory_mb: int
    torch: str
    machine: str
    work_dir: str
    target_images: str | None = None

    @property
    def name(self) -> str:
        """``<method>_s<seed>``."""
        return f'{self.method}_s{self.seed}'

    def final(self, network: str) -> float:
        """mIoU of a network after the last iteration, in percent."""
        return 100 * self.scores[network][self.iterations]['mIoU']

    def with_target_statistics(self, values: Mapping[str, float], target_images: str) -> Record:
        """The record with what the student has scored at the end with the statistics of these images."""
        return replace(self, scores={**self.scores, TARGET_STATISTICS: {self.iterations: _only(SCORES, values)}},
                       class_iou={**self.class_iou, TARGET_STATISTICS: _ious(values)}, target_images=target_images)

    def has_statistics_of(self, target_images: str) -> bool:
        """Whether it has such a score, of these images as far as is known."""
        return TARGET_STATISTICS in self.scores and self.target_images in (None, target_images)


def _only(keys: Iterable[str], values: Mapping[str, float]) -> dict[str, float]:
    return {key: values[key] for key in keys if key in values}


def _ious(values: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix('IoU.'): value for key, value in values.items() if key.startswith('IoU.')}


def _by_network(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The values of one evaluation, those of the teacher apart."""
    found: dict[str, dict[str, float]] = {'student': {}}
    for key, value in values.items():
        network, _, rest = key.partition('.')
        if network in NETWORKS:
            found.setdefault(network, {})[rest] = value
        else:
            found['student'][key] = value
    return found


def _made(log: Log, suite: Suite, device: str | None = None, base_hash: str | None = None, work_dir: str = ''
          ) -> Record:
    """The record of a log that ends with the evaluation of the last iteration."""
    method = log.group
    scores: dict[str, dict[int, dict[str, float]]] = {}
    for iteration, values in sorted(log.val.items()):
        for network, own in _by_network(values).items():
            scores.setdefault(network, {})[iteration] = _only(SCORES, own)
    iterations = max(log.val)
    last = _by_network(log.val[iterations])
    times = [values['time'] for values in log.train.values() if 'time' in values]
    return Record(
        method, int(SEED.findall(log.name)[-1]), suite.config(method).as_posix(), base_hash,
        log.environment.get('git', ''), iterations, scores,
        class_iou={network: _ious(own) for network, own in last.items()},
        seconds_per_iteration=round(statistics.median(times), 4) if times else 0.,
        peak_memory_mb=int(max((values.get('memory', 0) for values in log.train.values()), default=0)),
        torch=log.environment.get('torch', ''), machine=_machine(log.environment, device), work_dir=work_dir)


def _machine(environment: Mapping[str, str], device: str | None) -> str:
    """In words: the GPU, which is used if there is one and the config does not forbid it, or the processor."""
    if 'gpu 0' in environment and device != 'cpu':
        return environment['gpu 0']
    return f'{environment.get("cpu", "CPU")}, threads: {environment.get("cpu threads", "?")}'


def record_of(suite: Suite, generated: Path) -> Record | None:
    """The record of the run of a suite's generated config; None if its last iteration has not been evaluated."""
    cfg = load_config(generated)
    try:
        log = read_log(Path(cfg.work_dir))
    except LogError:
        return None
    if cfg.runner.max_iters not in log.val:
        return None
    return _made(log, suite, cfg.get('device'), cfg.base_hash, cfg.work_dir)


def in_order(records: Iterable[Record]) -> list[Record]:
    """The records by method, the most important first, and seed."""
    return sorted(records, key=lambda record: (place(record.method), record.seed))


def write_record(record: Record, folder: Path) -> None:
    """Write ``<folder>/records/<method>_s<seed>.json``."""
    write_json(folder / RECORDS / f'{record.name}.json', asdict(record))


def kept_record(record: Record, folder: Path) -> Record | None:
    """What is kept in ``folder`` of the same run, if anything."""
    path = folder / RECORDS / f'{record.name}.json'
    kept = _read(path) if path.is_file() else None
    return kept if kept is not None and kept.work_dir == record.work_dir else None


def read_records(suite: Suite, folder: Path) -> list[Record]:
    """The records in ``<folder>/records``, and those of logs ``<folder>/<method>_s<seed>.log.json`` of other runs.

    Raises:
        LogError: if there are none, or a file is no record.
    """
    records = [_read(path) for path in sorted((folder / RECORDS).glob('*.json'))]
    known = {record.name for record in records}
    logs = [read_log(path) for path in sorted(folder.glob('*_s[0-9]*.log.json'))]
    records += [_made(log, suite) for log in logs if log.name not in known and log.val]
    if not records:
        raise LogError(f'{folder} holds no results of suite {suite.name}: no {RECORDS}/*.json of finished runs, no '
                       '<method>_s<seed>.log.json')
    return in_order(records)


def _read(path: Path) -> Record:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        scores = {network: {int(iteration): values for iteration, values in points.items()}
                  for network, points in content['scores'].items()}
        return Record(**{**content, 'scores': scores})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogError(f'{path} is no record of a run ({error}): remove it') from error
