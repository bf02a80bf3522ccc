"""Cross-entropy with pixel weights."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.registry import LOSSES
from mmseg.utils.kinds import one_of
from mmseg.utils.labels import IGNORED


def load_class_weight(source: list[float] | str | None) -> list[float] | None:
    """Class weights given as a list, or as the path of a .npy or .json file.

    Raises:
        FileNotFoundError, ValueError: if the file is missing or of another kind.
    """
    if not isinstance(source, str):
        return source if source is None else list(source)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f'class_weight: no file at {path}')
    if path.suffix not in ('.npy', '.json'):
        raise ValueError(f'class_weight: {path} is neither .npy nor .json: save the weights as one of them')
    try:
        weights = np.asarray(np.load(path) if path.suffix == '.npy' else json.loads(path.read_text()), np.float64)
    except Exception as error:  # of damaged files
        raise ValueError(f'class_weight: {path} cannot be read ({error}): save the weights anew') from error
    if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f'class_weight: {path} holds no list of numbers of at least 0, one for each class')
    return weights.tolist()


def reduce_loss(loss: Tensor, weight: Tensor | None, reduction: str, avg_factor: float | Tensor | None) -> Tensor:
    """Weight a loss map and reduce it.

    Args:
        loss: any shape.
        weight: of the same shape, or None.
        reduction: 'mean' (over all elements, zero-weight ones included, as published), 'sum' or 'none'.
        avg_factor: divides the sum instead of the number of elements; with 'mean' only ('none' ignores it).

    Raises:
        ValueError: for another reduction, and for 'sum' with an ``avg_factor``.
    """
    if reduction not in ('mean', 'sum', 'none'):
        raise ValueError(f'reduction must be mean, sum or none, not {reduction!r}')
    if reduction == 'sum' and avg_factor is not None:
        raise ValueError('avg_factor goes with reduction mean, not sum')
    if weight is not None:
        loss = loss * weight.to(loss.dtype)
    if reduction == 'none':
        return loss
    total = loss.sum()
    if reduction == 'sum':
        return total
    return total / (loss.numel() if avg_factor is None else avg_factor)


def has_class(label: Tensor, ignore_index: int) -> Tensor:
    """Where a label map says a class: neither ``ignore_index`` nor 255, which void pixels are once labels are read."""
    known = label != IGNORED
    return known if ignore_index == IGNORED else known & (label != ignore_index)


def softmax_cross_entropy(logits: Tensor, label: Tensor, class_weight: Tensor | None, ignore_index: int) -> Tensor:
    """Per-pixel cross-entropy [B, ...] of logits [B, C, ...]; 0 at ignored pixels.

    Log-softmax, gathered at the label: unlike NLLLoss, this has deterministic kernels on CUDA.

    Raises:
        RuntimeError: if a label is neither a class nor ignored (from the device itself on a GPU).
    """
    logits = logits.float()
    valid = has_class(label, ignore_index)
    index = label.where(valid, 0)
    loss = -logits.log_softmax(1).gather(1, index.unsqueeze(1)).squeeze(1)
    return loss * (valid if class_weight is None else class_weight[index] * valid)


def binary_cross_entropy(logits: Tensor, label: Tensor, class_weight: Tensor | None, ignore_index: int) -> Tensor:
    """Per-channel binary cross-entropy [B, C, ...] against the one-hot label; 0 at ignored pixels."""
    logits = logits.float()
    valid = has_class(label, ignore_index)
    target = F.one_hot(label.where(valid, 0), logits.shape[1]).movedim(-1, 1).float()
    if class_weight is not None:
        class_weight = class_weight.view(-1, *[1] * (logits.dim() - 2))
    loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=class_weight, reduction='none')
    return loss * valid.unsqueeze(1)


def keep_class_weight(loss: nn.Module, class_weight: list[float] | str | None) -> None:
    """Give a loss its ``class_weight``, see :func:`load_class_weight`.

    A buffer, so that it is on the device before the step; not in checkpoints, whose keys are the originals'.

    Raises:
        FileNotFoundError, ValueError: also if all weights are 0.
    """
    factors = load_class_weight(class_weight)
    if factors is not None and not any(factors):
        raise ValueError('class_weight holds no number above 0, so that nothing would be trained')
    loss.register_buffer('class_weight', None if factors is None else torch.tensor(factors), persistent=False)


@LOSSES.register_module()
class CrossEntropyLoss(nn.Module):
    """Cross-entropy; its mean runs over all pixels, ignored ones included.

    Args:
        use_sigmoid: binary cross-entropy per class instead of softmax.
        reduction: 'mean', 'sum' or 'none'.
        class_weight: one factor per class: a list, or the path of a .npy or .json file.
        loss_weight: factor of the result.
    """
    OPTIONS = dict(reduction=one_of(['mean', 'sum', 'none']))
    log_name, per_pixel = 'loss_ce', True

    def __init__(self,
                 use_sigmoid: bool = False,
                 reduction: str = 'mean',
                 class_weight: list[float] | str | None = None,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        self.use_sigmoid, self.reduction, self.loss_weight = use_sigmoid, reduction, loss_weight
        keep_class_weight(self, class_weight)

    def forward(self,
                logits: Tensor,
                label: Tensor,
                weight: Tensor | None = None,
                avg_factor: float | Tensor | None = None,
                reduction_override: str | None = None,
                ignore_index: int = 255) -> Tensor:
        """The loss in fp32.

        Args:
            logits: [B, C, ...].
            label: [B, ...] int64, class, ``ignore_index`` or 255.
            weight: [B, ...] pixel weights.
            avg_factor, reduction_override: see :func:`reduce_loss`.
            ignore_index: label of pixels without loss, beside 255.
        """
        criterion = binary_cross_entropy if self.use_sigmoid else softmax_cross_entropy
        loss = criterion(logits, label, self.class_weight, ignore_index)
        if self.use_sigmoid and weight is not None:
            weight = weight.unsqueeze(1)
        return self.loss_weight * reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)
