"""What a person reads after an evaluation."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from prettytable import PrettyTable


def _percent(value: float) -> str:
    return f'{value * 100:.2f}'


def class_table(scores: Mapping[str, float], classes: Sequence[str]) -> str:
    """One row per class with its IoU and Acc (or Dice, Fscore, ...) in percent."""
    columns = list(dict.fromkeys(key.split('.', 1)[0] for key in scores if '.' in key))
    table = PrettyTable(['Class', *columns], align='r')
    table.align['Class'] = 'l'
    for name in classes:
        table.add_row([name, *(_percent(scores[f'{column}.{name}']) for column in columns)])
    return table.get_string()


def summary_table(scores: Mapping[str, float]) -> str:
    """One row with aAcc, mIoU, mAcc (and what else was asked for) in percent."""
    summary = {key: _percent(value) for key, value in scores.items() if '.' not in key}
    table = PrettyTable(list(summary))
    table.add_row(list(summary.values()))
    return table.get_string()


def iou_lines(scores: Mapping[str, float]) -> str:
    """The names of all IoUs and their values in percent with one decimal, as two lines to copy into a paper's table."""
    ious = {key: round(value * 100, 1) for key, value in scores.items() if 'IoU' in key}
    return f'{list(ious)}\n{list(ious.values())}'


def format_table(scores: Mapping[str, float], classes: Sequence[str]) -> str:
    """Class table and summary of the scores that :meth:`ConfusionMatrix.compute` returned."""
    return f'per class results:\n\n{class_table(scores, classes)}\nSummary:\n\n{summary_table(scores)}'
