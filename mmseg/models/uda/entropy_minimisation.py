"""MinEnt: make the student sure of what it predicts on target images (ADVENT, Vu et al. 2019, section 3.2)."""
from __future__ import annotations

import math
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.uda.base import UDADecorator
from mmseg.models.uda.target_outputs import FACTORS, TargetOutputs, class_probabilities, output_factors
from mmseg.registry import UDA


def normalised_entropy(probabilities: Tensor) -> Tensor:
    """Mean entropy over all pixels, 0 (sure) to 1 (all classes alike), of probabilities [B, C, H, W]."""
    batch, classes, height, width = probabilities.shape
    total = -(probabilities * torch.log2(probabilities + 1e-30)).sum()
    return total / (batch * height * width * math.log2(classes))


class LowEntropy(TargetOutputs):
    """The entropy of each output."""
    name = 'entropy'
    log = 'ent'

    def penalty(self, output: str, logits: Tensor, student: BaseSegmentor) -> Tensor:
        """Normalised entropy, in [0, 1]."""
        return normalised_entropy(class_probabilities(logits, student))


@UDA.register_module()
class MinEnt(UDADecorator):
    """Supervised training on the source and low entropy on the target; MIC may join, with a teacher of its own.

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        **uda: the keys of this host, of all hosts and of MIC.

    Keys:
        lambda_ent: factor of the entropy of the prediction and of those of auxiliary heads. Logged as
            ``ent.loss.main``.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be.
    """
    keys = dict(alpha=0.999, lambda_ent=dict(main=0.001, aux=0.0002))
    key_kinds = dict(lambda_ent=FACTORS)

    def __init__(self, model: dict[str, Any], max_iters: int, **uda: Any) -> None:
        super().__init__(model, max_iters, **uda)
        self.add_objective(LowEntropy(output_factors(self.model, self.settings['lambda_ent'], 'lambda_ent')))
        self.add_objectives()
        self.open_branches(source=('', attrgetter('source')))

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> Losses:
        """One iteration: source branch, target branches, optimizer step."""
        step = self.begin(batch, optim_wrapper)
        self.run_source(step, optim_wrapper)
        self.run_others(step, optim_wrapper)
        optim_wrapper.step()
        return self.end(step)
