"""How pixels relate to the rows of the memory bank, and what that says about classes: equations (1) to (4) of ours.

A relation is a distribution over the rows: how similar a pixel is to each stored instance.
Shapes: B images, h x w cells of the embedding, D channels, K rows of the bank, C classes.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_similarities(embedding: Tensor, rows: Tensor) -> Tensor:
    """Cosines [B, K, h, w] in [-1, 1] of embeddings [B, D, h, w] and bank rows [K, D]; 0 for rows of zeros."""
    return torch.einsum('bdhw,kd->bkhw', F.normalize(embedding, dim=1), F.normalize(rows, dim=1))


def gather(relation: Tensor, membership: Tensor) -> Tensor:
    """What the rows say about the classes, of (3): sums [B, C, h, w] over the rows of each class.

    Args:
        relation: distribution over the rows, [B, K, h, w].
        membership: [K, C], see :attr:`MemoryBank.membership <mmseg.models.uda.dida.memory_bank.MemoryBank.membership>`.
    """
    return torch.einsum('bkhw,kc->bchw', relation, membership)


def scatter(probabilities: Tensor, label: Tensor) -> Tensor:
    """What the classes say about the rows, of (2): each row [B, K, h, w] gets the value [B, C, h, w] of its class.

    Args:
        probabilities: [B, C, h, w].
        label: class of each row, int64 [K].
    """
    return probabilities[:, label]


def calibrate(relation: Tensor, scattered: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Weigh a relation by what the classes say, and normalise it again: (2).

    Args:
        relation, scattered: [B, K, h, w].
        eps: smallest normaliser, above 0.

    Returns:
        The calibrated distribution [B, K, h, w], and its normaliser [B, h, w]: 0 where all mass is on classes without
        rows; what is returned for such cells is no distribution.
    """
    product = relation * scattered
    mass = product.sum(dim=1, keepdim=True)
    return product / mass.clamp_min(eps), mass.squeeze(1)


def relation_loss(scores: Tensor, target: Tensor, region: Tensor) -> Tensor:
    """Mean cross-entropy of softmax(scores) with a target relation: (4), without its weight; 0 if no cell counts.

    Args:
        scores: tempered similarities [B, K, h, w].
        target: [B, K, h, w], sums to 1 over the rows.
        region: float [B, h, w], 1 for the cells that count.
    """
    cross_entropy = scores.logsumexp(dim=1) - (target * scores).sum(dim=1)
    return (cross_entropy * region).sum() / region.sum().clamp_min(1)
