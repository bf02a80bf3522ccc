"""Streaming segmentation metrics: a confusion matrix on the device instead of a stack of prediction maps."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmseg.distributed import processes
from mmseg.utils.commands import called
from mmseg.utils.labels import IGNORED
from mmseg.utils.names import nearest

# What each metric reports per class, in the order of the table's columns.
METRIC_COLUMNS = {'mIoU': ('IoU', 'Acc'), 'mDice': ('Dice', 'Acc'), 'mFscore': ('Fscore', 'Precision', 'Recall')}


def check_metrics(metrics: str | Iterable[str]) -> tuple[str, ...]:
    """The metric names as a tuple.

    Raises:
        ValueError: for an unknown metric.
    """
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name == 'cityscapes':
            raise ValueError(f"metric 'cityscapes' (the official program) is for {called('test')} --eval cityscapes"
                             ": use 'mIoU' here, which scores the same 19 classes on train ids")
        if name not in METRIC_COLUMNS:
            raise ValueError(f'unknown metric {name!r}: {nearest(name, METRIC_COLUMNS)}')
    return names


class ConfusionMatrix:
    """Counts of (label, prediction) pairs, accumulated without a host synchronisation.

    Args:
        num_classes: C; predictions are ids 0..C-1.
        device: where the counts live; labels and predictions are moved there.
    """

    def __init__(self, num_classes: int, device: torch.device | str = 'cpu') -> None:
        self.num_classes = num_classes
        # One bin more than C*C takes the ignored pixels: picking the others out would need a synchronisation.
        self._bins = torch.zeros(num_classes**2 + 1, dtype=torch.int64, device=device)

    @property
    def counts(self) -> Tensor:
        """[C, C] int64, rows are labels, columns predictions."""
        return self._bins[:-1].view(self.num_classes, self.num_classes)

    def update(self, pred: Tensor, label: Tensor) -> Tensor:
        """Count one image or batch, and return its own counts as [C, C] int64.

        Args:
            pred: integer ids 0..C-1 of any shape.
            label: integer ids 0..C-1, or 255 where nothing is known; same shape.

        Raises:
            ValueError: if the shapes differ.
        """
        if pred.shape != label.shape:
            raise ValueError(f'prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ in size')
        pred = pred.to(self._bins.device, torch.int64).flatten()
        label = label.to(self._bins.device, non_blocking=True).to(torch.int64).flatten()
        ignored = label == IGNORED
        cell = torch.where(ignored, self.num_classes**2, label * self.num_classes + pred)
        bins = torch.zeros_like(self._bins)
        # bincount would read the largest value back to the host
        bins.scatter_add_(0, cell, bins.new_ones(1).expand_as(cell))
        self._bins += bins
        return bins[:-1].view(self.num_classes, self.num_classes)

    def gather(self) -> None:
        """Let every process have the counts of all."""
        processes.add_up(self._bins)

    def per_class(self) -> dict[str, np.ndarray]:
        """Every quantity of :data:`METRIC_COLUMNS` as float64 [C] in 0..1; NaN where it is 0/0."""
        counts = self.counts.cpu().numpy().astype(np.float64)
        hit, label, pred = counts.diagonal(), counts.sum(1), counts.sum(0)
        with np.errstate(divide='ignore', invalid='ignore'):
            precision, recall = hit / pred, hit / label
            return {
                'IoU': hit / (pred + label - hit),
                'Acc': recall,
                'Dice': 2 * hit / (pred + label),
                'Fscore': 2 * precision * recall / (precision + recall),
                'Precision': precision,
                'Recall': recall
            }

    def compute(self,
                classes: Sequence[str] | None = None,
                metrics: str | Iterable[str] = ('mIoU',),
                subsets: Mapping[str, Sequence[str]] | None = None) -> dict[str, float]:
        """The scores under the names of mmsegmentation 0.16, in 0..1, rounded to 0.01 percent.

        A mean runs over all classes; one that occurs neither in labels nor in predictions is left out, one that occurs
        in predictions only counts as 0.

        Args:
            classes: C class names; 0..C-1 if absent.
            metrics: of 'mIoU', 'mDice', 'mFscore'.
            subsets: further mean IoUs: name -> the classes it runs over, e.g. {'mIoU16': [...]}.

        Returns:
            aAcc, the means (mIoU, mAcc, ...), the subsets, then IoU.<class>, Acc.<class>, ...
        """
        names = [str(i) for i in range(self.num_classes)] if classes is None else list(classes)
        if len(names) != self.num_classes:
            raise ValueError(f'{len(names)} class names for {self.num_classes} classes')
        values = self.per_class()
        columns = dict.fromkeys(column for metric in check_metrics(metrics) for column in METRIC_COLUMNS[metric])
        counts = self.counts
        labelled = int(counts.sum())
        scores = {'aAcc': int(counts.trace()) / labelled if labelled else float('nan')}
        scores |= {f'm{column}': _nanmean(values[column]) for column in columns}
        scores |= {
            subset: _nanmean(values['IoU'][[names.index(name) for name in members]])
            for subset, members in (subsets or {}).items()
        }
        scores |= {f'{column}.{name}': v for column in columns for name, v in zip(names, values[column])}
        return {key: round(float(value) * 100, 2) / 100 for key, value in scores.items()}


def _nanmean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float('nan')
