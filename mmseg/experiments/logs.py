"""The JSON logs of training runs, see :mod:`mmseg.utils.run_log`: tabulating their last scores over seeds."""
from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from mmseg.utils import markdown
from mmseg.utils.run_log import RUN_STAMP, SEED, Log, read_log

__all__ = ['PERCENT', 'RUN_STAMP', 'SEED', 'Log', 'read_log', 'spread', 'table']

PERCENT = re.compile(r'(^|[._])(mIoU\d*|mAcc|aAcc|mDice|mFscore|IoU|Acc|Dice|Fscore|Precision|Recall)(\.|$)')


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
