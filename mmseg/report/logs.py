"""The JSON logs of training runs: reading them, and tabulating the last scores over seeds.

A log is a ``*.log.json`` file (one JSON object per line) of this project or of the mmcv runner, or the folder of a run;
the several logs of a folder (a resumed run) are joined.
"""
from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmseg.errors import LogError
from mmseg.utils import markdown

PERCENT = re.compile(r'(^|[._])(mIoU\d*|mAcc|aAcc|mDice|mFscore|IoU|Acc|Dice|Fscore|Precision|Recall)(\.|$)')
TIMESTAMP = re.compile(r'\d{8}_\d{6}(_\d+)?')
RUN_STAMP = re.compile(r'^\d{6}_\d{4}_|_[0-9a-f]{5}$')
SEED = re.compile(r'_s(?:eed)?(\d+)(?=[_.-]|$)')


@dataclass
class Log:
    """The records of one run.

    Attributes:
        name: what to call the run: the stem of its log file, or the run's folder if the file is named by its time.
        train, val, meters: the logged values by training iteration; the last are those of ``--meters``.
        environment: versions and machine by name, of the last file that says them.
    """
    name: str
    train: dict[int, dict[str, float]] = field(default_factory=dict)
    val: dict[int, dict[str, float]] = field(default_factory=dict)
    meters: dict[int, dict[str, float]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The name without time stamp, run id and seed: equal for the seeds of one experiment."""
        return SEED.sub('', RUN_STAMP.sub('', RUN_STAMP.sub('', self.name)))

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Iterations and values of ``key``.

        Raises:
            LogError: if the run never logged it; the message lists what it logged.
        """
        every = (self.train, self.val, self.meters)
        for records in every:
            points = [(i, values[key]) for i, values in sorted(records.items()) if key in values]
            if points:
                return [i for i, _ in points], [value for _, value in points]
        known = sorted({name for records in every for values in records.values() for name in values})
        raise LogError(f'{self.name} has no values of {key!r}; it has: {", ".join(known) or "nothing"}')


def _add_file(log: Log, path: Path) -> None:
    """Add one file. An unfinished last line is skipped."""
    lines = path.read_text().splitlines()
    last_train = 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise LogError(f'{path}, line {number}: no JSON object ({error.msg})') from error
        if isinstance(record, dict) and 'env_info' in record:
            log.environment = dict(fact.split(': ', 1) for fact in record['env_info'].splitlines() if ': ' in fact)
        if not isinstance(record, dict) or record.get('mode') not in ('train', 'val', 'meters'):
            continue
        values = {key: value for key, value in record.items()
                  if isinstance(value, (int, float)) and key not in ('epoch', 'iter', 'step')}
        if record['mode'] == 'train':
            last_train = record['iter']
            log.train[last_train] = values
        elif record['mode'] == 'meters':
            log.meters[record['iter']] = values
        else:
            # A validation's ``iter`` counts its images; the training iteration is in ``step``, if it is there at all.
            log.val[record.get('step') or last_train or record['iter']] = values


def read_log(path: Path) -> Log:
    """Read a ``.log.json`` file or all such files of a run's folder.

    Raises:
        LogError: if there is no such file or it holds no training record.
    """
    files = sorted(path.glob('*.log.json')) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise LogError(f'{path}: no such log; name a .log.json file or the folder of a run that has one')
    stem = files[0].name.removesuffix('.json').removesuffix('.log')
    log = Log(files[0].resolve().parent.name if path.is_dir() or TIMESTAMP.fullmatch(stem) else stem)
    for file in files:
        _add_file(log, file)
    if not log.train and not log.val:
        raise LogError(f'{path} holds no training or validation record')
    return log


def spread(values: Sequence[float]) -> str:
    """``mean ± sample standard deviation (lowest..highest)``, or a single value alone."""
    if len(values) == 1:
        return f'{values[0]:.2f}'
    return f'{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f} ({min(values):.2f}..{max(values):.2f})'


def table(logs: Sequence[Log], keys: Sequence[str]) -> str:
    """A Markdown table: one row for each group of seeds, the last value of each key; scores are given in percent."""
    groups: dict[str, list[Log]] = {}
    for log in logs:
        groups.setdefault(log.group, []).append(log)
    rows = []
    for name, members in groups.items():
        seeds = [match[1] for log in members if (match := SEED.search(log.name))]
        ends = sorted({log.series(keys[0])[0][-1] for log in members})
        cells = []
        for key in keys:
            scale = 100 if PERCENT.search(key) else 1
            cells.append(spread([scale * log.series(key)[1][-1] for log in members]))
        runs = ', '.join(seeds) if len(seeds) == len(members) else str(len(members))
        rows.append([name, runs, ', '.join(map(str, ends)), *cells])
    return markdown.table(['run', 'seeds', 'iteration', *keys], rows)
