"""What ``--meters`` has logged, as tables and curves."""
from __future__ import annotations

import re
from collections.abc import Iterator

from mmseg.errors import LogError
from mmseg.report.logs import Log
from mmseg.utils.markdown import table

Curve = tuple[str, list[int], list[float]]
TOTAL = re.compile(r'meters\.(?P<stage>.+)\.(?P<score>aAcc|mIoU|confident|confident_aAcc)')
OF_CLASS = re.compile(r'meters\.(?P<stage>.+?)\.(?P<score>IoU|confident)\.(?P<name>.+)')
GRADIENT = re.compile(r'meters\.grad\.(?P<loss>.+)')
MIOU, CONFIDENT, GRADIENTS = 'mIoU', 'confident pixels', 'length of the gradient'  # titles of curves
TOTALS = dict(aAcc='aAcc', mIoU='mIoU', confident='confident', confident_aAcc='aAcc of these')


def require_meters(log: Log) -> None:
    """Refuse a log without them.

    Raises:
        LogError: naming the log and the remedy.
    """
    if not log.meters:
        raise LogError(f'{log.name} has no meters: train with --meters')


def tables(log: Log) -> str:
    """Markdown of the last record: scores of each stage in percent, the same by class, gradients of the losses.

    Raises:
        LogError: if there is no record.
    """
    require_meters(log)
    iteration, values = max(log.meters.items())
    stages: dict[str, dict[str, float]] = {}
    classes: dict[str, dict[str, float]] = {}
    norms: dict[str, float] = {}
    for key, value in values.items():
        if found := GRADIENT.fullmatch(key):
            norms[found['loss']] = value
        elif found := TOTAL.fullmatch(key):
            stages.setdefault(found['stage'], {})[found['score']] = value
        elif found := OF_CLASS.fullmatch(key):
            classes.setdefault(found['name'], {})[f'{found["stage"]} {found["score"]}'] = value
    columns = list(dict.fromkeys(column for scores in classes.values() for column in scores))
    parts = [f'{log.name}, iteration {iteration}']
    if stages:
        parts.append(table(['stage', *TOTALS.values()], [[name, *(_percent(scores.get(key)) for key in TOTALS)]
                                                         for name, scores in stages.items()]))
        parts.append(table(['class', *columns], [[name, *(_percent(scores.get(column)) for column in columns)]
                                                 for name, scores in classes.items()]))
    if norms:
        total = sum(norms.values())
        parts.append(table(['loss', 'gradient', 'share'], [
            [name, f'{norm:.2e}', _percent(norm / total if total else None)] for name, norm in norms.items()]))
    return '\n\n'.join(parts)


def _percent(value: float | None) -> str:
    return '' if value is None else f'{100 * value:.2f}'


def curves(log: Log) -> dict[str, list[Curve]]:
    """Curves by what they show: the pseudo labels' mIoU beside that of the evaluation, confident pixels, gradients.

    Raises:
        LogError: if there is no record.
    """
    require_meters(log)
    found: dict[str, list[Curve]] = {MIOU: [], CONFIDENT: [], GRADIENTS: []}
    for key in dict.fromkeys(key for values in log.meters.values() for key in values):
        curve = (key.removeprefix('meters.').removeprefix('grad.'), *log.series(key))
        if GRADIENT.fullmatch(key):
            found[GRADIENTS].append(curve)
        elif total := TOTAL.fullmatch(key):
            if total['score'] != 'aAcc':
                found[MIOU if total['score'] == 'mIoU' else CONFIDENT].append(curve)
    found[MIOU] += _evaluated(log)
    return {title: drawn for title, drawn in found.items() if drawn}


def _evaluated(log: Log) -> Iterator[Curve]:
    """The mIoU of the evaluated networks."""
    for key, name in (('mIoU', 'evaluation'), ('teacher.mIoU', 'evaluation of the teacher')):
        if any(key in values for values in log.val.values()):
            yield (name, *log.series(key))
