"""Focal loss (Lin et al., 2017): cross-entropy in which what is known already counts less."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.losses.cross_entropy_loss import has_class, keep_class_weight, reduce_loss, softmax_cross_entropy
from mmseg.registry import LOSSES
from mmseg.utils.kinds import AMOUNT, SHARE, one_of


@LOSSES.register_module()
class FocalLoss(nn.Module):
    """``(1 - q)^gamma`` times the cross-entropy ``-log q``, q being the probability of what is right.

    Args:
        use_sigmoid: each class is a decision of its own (yes or no), as published, the right answer 'yes' weighted by
            ``alpha`` and 'no' by ``1 - alpha``; False: softmax over the classes, without ``alpha``.
        gamma: 0 is plain cross-entropy (times ``alpha`` or ``1 - alpha``).
        alpha: 0 to 1.
        reduction: 'mean' (over all pixels, and classes if ``use_sigmoid``; ignored ones included), 'sum' or 'none'.
        class_weight: one factor per class: a list, or the path of a .npy or .json file.
        loss_weight: factor of the result.
    """
    OPTIONS = dict(gamma=AMOUNT, alpha=SHARE, reduction=one_of(['mean', 'sum', 'none']))
    log_name, per_pixel = 'loss_focal', True

    def __init__(self, use_sigmoid: bool = True, gamma: float = 2.0, alpha: float = 0.5, reduction: str = 'mean',
                 class_weight: list[float] | str | None = None, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.use_sigmoid, self.gamma, self.alpha = use_sigmoid, gamma, alpha
        self.reduction, self.loss_weight = reduction, loss_weight
        keep_class_weight(self, class_weight)

    def forward(self, logits: Tensor, label: Tensor, weight: Tensor | None = None,
                reduction_override: str | None = None, ignore_index: int = 255) -> Tensor:
        """The loss in fp32; arguments as of :class:`~mmseg.models.losses.CrossEntropyLoss`."""
        logits = logits.float()
        loss = self._of_decisions(logits, label, ignore_index) if self.use_sigmoid \
            else self._of_classes(logits, label, ignore_index)
        if self.use_sigmoid and weight is not None:
            weight = weight.unsqueeze(1)
        return self.loss_weight * reduce_loss(loss, weight, reduction_override or self.reduction, None)

    def _of_classes(self, logits: Tensor, label: Tensor, ignore_index: int) -> Tensor:
        """[B, ...]; 0 at ignored pixels."""
        loss = softmax_cross_entropy(logits, label, None, ignore_index)
        loss = (1 - (-loss).exp())**self.gamma * loss
        if self.class_weight is None:
            return loss
        return loss * self.class_weight[label.where(has_class(label, ignore_index), 0)]

    def _of_decisions(self, logits: Tensor, label: Tensor, ignore_index: int) -> Tensor:
        """[B, C, ...]; 0 at ignored pixels."""
        valid = has_class(label, ignore_index)
        target = F.one_hot(label.where(valid, 0), logits.shape[1]).movedim(-1, 1).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        loss = (1 - (-loss).exp())**self.gamma * loss * (self.alpha * target + (1 - self.alpha) * (1 - target))
        if self.class_weight is not None:
            loss = loss * self.class_weight.view(-1, *[1] * (logits.dim() - 2))
        return loss * valid.unsqueeze(1)
