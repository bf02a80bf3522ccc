"""What a run's logs say over its iterations, by chart."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmseg.errors import LogError
from mmseg.report.logs import Log, read_log

Curve = tuple[list[int], list[float]]  # iterations, values
Curves = dict[str, dict[str, Curve]]  # by chart, then by label
SCORES, CLASSES, LOSSES = 'mIoU, %', 'IoU by class, %', 'losses'
MOST_POINTS = 300


def curves_of(log: Log) -> Curves:
    """Scores of all networks and the first one's classes, in percent, and the losses; charts without a value are left
    out."""
    charts = {
        SCORES: _series(log, lambda key: key.rpartition('.')[2].startswith('mIoU'), 100),
        CLASSES: {label.removeprefix('IoU.'): curve
                  for label, curve in _series(log, lambda key: key.startswith('IoU.'), 100).items()},
        LOSSES: _series(log, lambda key: 'loss' in key.rpartition('.')[2], 1),
    }
    return {title: curves for title, curves in charts.items() if curves}


def curves_of_folder(folder: Path) -> Curves:
    """Those of the logs in a run's folder; {} if there is none that can be read."""
    try:
        return curves_of(read_log(folder))
    except (LogError, OSError):
        return {}


def _series(log: Log, wanted: Callable[[str], bool], scale: float) -> dict[str, Curve]:
    keys = dict.fromkeys(key for records in (log.val, log.train) for values in records.values() for key in values
                         if wanted(key))
    return {key: _thinned(*log.series(key), scale) for key in keys}


def _thinned(iterations: list[int], values: list[float], scale: float) -> Curve:
    """At most :data:`MOST_POINTS`, which are means over equal stretches."""
    step = -(-len(values) // MOST_POINTS)
    starts = range(0, len(values), step)
    return ([iterations[start:start + step][-1] for start in starts],
            [round(scale * sum(values[start:start + step]) / len(values[start:start + step]), 5) for start in starts])
