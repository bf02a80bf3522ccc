"""Soft Dice loss (Milletari et al., V-Net, 2016): the overlap of each class, however rare it is."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.losses.cross_entropy_loss import has_class, keep_class_weight
from mmseg.registry import LOSSES
from mmseg.utils.kinds import POSITIVE


@LOSSES.register_module()
class DiceLoss(nn.Module):
    """One minus the Dice coefficient of softmax and label, the mean over classes and images.

    With p the probabilities, t the one-hot label and sums over the pixels of an image that have a label, the loss of a
    class is ``1 - (2 sum(p t) + smooth) / (sum(p^exponent) + sum(t^exponent) + smooth)``; classes that the image does
    not show are counted, too. Pixel weights are factors in all sums, and the loss of an image counts by their mean.

    Args:
        smooth: keeps the quotient finite, above 0.
        exponent: of probabilities and labels in the denominator.
        class_weight: one factor per class: a list, or the path of a .npy or .json file.
        loss_weight: factor of the result.
    """
    OPTIONS = dict(smooth=POSITIVE, exponent=POSITIVE)
    log_name, per_pixel = 'loss_dice', False

    def __init__(self, smooth: float = 1.0, exponent: float = 2, class_weight: list[float] | str | None = None,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        self.smooth, self.exponent, self.loss_weight = smooth, exponent, loss_weight
        keep_class_weight(self, class_weight)

    def forward(self, logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """The loss in fp32.

        Args:
            logits: [B, C, ...].
            label: [B, ...] int64, class, ``ignore_index`` or 255.
            weight: [B, ...] pixel weights.
            ignore_index: label of pixels without loss, beside 255.
        """
        probability = logits.float().softmax(1).flatten(2)
        valid = has_class(label, ignore_index)
        target = F.one_hot(label.where(valid, 0).flatten(1), logits.shape[1]).transpose(1, 2).to(probability.dtype)
        counted = valid.to(probability.dtype) if weight is None else valid * weight.to(probability.dtype)
        counted = counted.flatten(1).unsqueeze(1)
        overlap = (probability * target * counted).sum(2)
        sizes = ((probability**self.exponent + target) * counted).sum(2)  # a label is 0 or 1, so is any power of it
        loss = 1 - (2 * overlap + self.smooth) / (sizes + self.smooth)
        if self.class_weight is not None:
            loss = loss * self.class_weight
        if weight is not None:
            loss = loss * weight.to(loss.dtype).flatten(1).mean(1, keepdim=True)
        return self.loss_weight * loss.mean()
