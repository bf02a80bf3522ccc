"""Pseudo labels: class, confidence and the weight that they get in the target losses (DAFormer section 3.1)."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PseudoLabels(NamedTuple):
    """What the teacher says about the target images.

    Attributes:
        label: int64 [B, H, W], the most probable class.
        weight: float32 [B, H, W] in [0, 1], 0 in the ignored margins.
        confident: 0-dim float32, the share of confident pixels in the whole batch, before the margins.
        valid: float32 [B, H, W], 0 in the ignored margins, else 1.
    """
    label: Tensor
    weight: Tensor
    confident: Tensor
    valid: Tensor


def label_and_confidence(probabilities: Tensor, threshold: float | None) -> tuple[Tensor, Tensor]:
    """Labels and the share of pixels whose probability reaches the threshold.

    Args:
        probabilities: float32 [B, C, H, W].
        threshold: in [0, 1]; None trusts every pixel.

    Returns:
        int64 [B, H, W] and a 0-dim float32: one number for the whole batch.
    """
    confidence, label = probabilities.max(dim=1)
    if threshold is None:
        return label, confidence.new_ones(())
    return label, (confidence >= threshold).sum() / confidence.numel()


def valid_pixels(label: Tensor, ignore_top: int = 0, ignore_bottom: int = 0, valid: Tensor | None = None) -> Tensor:
    """Where pseudo labels may be trusted, float32 [B, H, W] of 0 and 1.

    Args:
        label: [B, H, W], for the size.
        ignore_top, ignore_bottom: rows of the crop that get 0 (sky artefacts, the ego vehicle's bonnet).
        valid: float [B, H, W] of 0 and 1 that the loader made from ``crop_pseudo_margins``.
    """
    rows = torch.ones(label.shape, device=label.device)
    rows[:, :ignore_top] = 0
    if ignore_bottom > 0:
        rows[:, -ignore_bottom:] = 0
    return rows if valid is None else rows * valid


@torch.no_grad()
def make_pseudo_labels(probabilities: Tensor, threshold: float | None, ignore_top: int, ignore_bottom: int,
                       valid: Tensor | None) -> PseudoLabels:
    """Labels, their weight (the share of confident pixels where they are valid) and the rest; arguments as above."""
    label, confident = label_and_confidence(probabilities, threshold)
    valid = valid_pixels(label, ignore_top, ignore_bottom, valid)
    return PseudoLabels(label, confident.float() * valid, confident, valid)
