"""Online hard example mining (Shrivastava et al., 2016) for pixels."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmseg.models.losses.cross_entropy_loss import has_class, softmax_cross_entropy
from mmseg.registry import PIXEL_SAMPLERS
from mmseg.utils.kinds import COUNT, NONE, number


@PIXEL_SAMPLERS.register_module()
class OHEMPixelSampler:
    """Chooses the pixels that a head's loss counts; nothing of it leaves the device.

    Args:
        thresh: None: the pixels of highest loss. Else: all whose confidence (softmax at the label) is below it, and
            never fewer than the ``min_kept`` least confident.
        min_kept: pixels per image, kept over the whole batch.

    Raises:
        ValueError: if ``thresh`` is outside of (0, 1] or ``min_kept`` is not positive.
    """
    OPTIONS = dict(thresh=number(above=0, most=1) | NONE, min_kept=COUNT)

    def __init__(self, thresh: float | None = None, min_kept: int = 100000) -> None:
        if thresh is not None and not 0 < thresh <= 1:
            raise ValueError(f'thresh of OHEMPixelSampler is a confidence in (0, 1] or None, not {thresh}')
        if min_kept < 1:
            raise ValueError(f'min_kept of OHEMPixelSampler is a positive number of pixels, not {min_kept}')
        self.thresh, self.min_kept = thresh, min_kept

    @torch.no_grad()
    def sample(self, logits: Tensor, label: Tensor, criterion: nn.Module, ignore_index: int = 255) -> Tensor:
        """Weights [B, H, W] in fp32: 1 where a pixel was chosen, else 0.

        Args:
            logits: [B, C, H, W].
            label: [B, H, W] int64, class, ``ignore_index`` or 255; ignored pixels are never chosen.
            criterion: the loss that ranks the pixels if there is no ``thresh``.
            ignore_index: label of pixels without loss, beside 255.
        """
        if self.thresh is None:
            loss = criterion(logits, label, ignore_index=ignore_index, reduction_override='none')
            loss = loss.sum(1) if loss.dim() == logits.dim() else loss  # binary cross-entropy: one loss per class
        else:
            loss = softmax_cross_entropy(logits, label, None, ignore_index)  # -log(confidence)
        valid = has_class(label, ignore_index)
        hardest = loss.where(valid, -math.inf).flatten().topk(min(self.min_kept * len(label), label.numel())).indices
        chosen = torch.zeros_like(loss).flatten().scatter_(0, hardest, 1.).view_as(loss)
        if self.thresh is not None:
            chosen = chosen.where(loss <= -math.log(self.thresh), 1.)
        return chosen * valid
