"""What a training measures of itself and does not learn from: its pseudo labels, and the gradient of each loss."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import Features
from mmseg.visualization.panels import RIGHT, UNKNOWN, UNSURE, WRONG, Panel


class Reading(NamedTuple):
    """What was found, in host memory.

    Attributes:
        counts: pixels by stage of the pseudo labels, int64 [2, C + 1, C]: unsure and confident ones; their label, the
            last being that nothing is known; their pseudo label.
        norms: by loss, the sum of its gradients' lengths, and how many they were.
    """
    counts: dict[str, np.ndarray]
    norms: dict[str, tuple[float, int]]


class Meters:
    """Adds up what the step shows it. Nothing here waits for the device, draws, or changes what is trained.

    Args:
        num_classes: number of classes C.
        weight: of the student, on which the gradients of the losses are compared; None compares none.

    Attributes:
        counting, comparing: whether the present iteration's pseudo labels are counted, its gradients compared.
        label: of the target images of the present batch, int64 [B, H, W], 255 is unknown; None if there are none.
            Nobody else reads it.
    """

    def __init__(self, num_classes: int, weight: Tensor | None) -> None:
        self.num_classes, self.weight = num_classes, weight
        self.counting = self.comparing = False
        self.label: Tensor | None = None
        self._clear()

    def _clear(self) -> None:
        self._counts: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._numbers: dict[str, int] = {}
        self._of_maps: dict[str, tuple[Tensor | None, ...]] = {}

    # pseudo labels

    @torch.no_grad()
    def count(self, stage: str, probabilities: Tensor, threshold: float | None, valid: Tensor) -> None:
        """Count the pixels of a stage of the pseudo labels.

        Args:
            stage: its name.
            probabilities: [B, C, H, W].
            threshold: probability from which a pixel is confident; None: all are.
            valid: [B, H, W], 0 for pixels that are not trained on.
        """
        if not self.counting:
            return
        classes = self.num_classes
        predicted, confident = _judged(probabilities, threshold)
        label = torch.full_like(predicted, classes) if self.label is None else self.label.clamp(max=classes)
        cell = (confident.long() * (classes + 1) + label) * classes + predicted
        size = 2 * (classes + 1) * classes
        cell = torch.where(valid > 0, cell, size).flatten()  # one bin more: to pick pixels out would need to wait
        if stage not in self._counts:
            self._counts[stage] = cell.new_zeros(size + 1)
        self._counts[stage].scatter_add_(0, cell, cell.new_ones(1).expand_as(cell))

    @torch.no_grad()
    def panels(self, probabilities: Tensor, threshold: float | None, valid: Tensor) -> list[Panel]:
        """Where the pseudo labels are right, wrong and unsure; none without labels. Arguments as of :meth:`count`."""
        if self.label is None:
            return []
        predicted, confident = _judged(probabilities, threshold)
        verdict = torch.where(confident, torch.where(predicted == self.label, RIGHT, WRONG), UNSURE)
        known = (self.label < self.num_classes) & (valid > 0)
        return [Panel('Pseudo label errors', 'verdict', torch.where(known, verdict, UNKNOWN))]

    # gradients

    def compare(self, losses: Losses, features: Features) -> None:
        """Add up the lengths of the gradients of losses, before these are back-propagated.

        Args:
            losses: of a decoding; what does not reach the weight is left out.
            features: what was decoded. Of cut ones the losses reach no further than the maps: :meth:`compare_encoder`
                goes the rest of the way.
        """
        if not self.comparing or self.weight is None:
            return
        cut = [x for x in features.maps if x.is_leaf and x.requires_grad]
        for name, loss in losses.trained.items():
            if not loss.requires_grad:
                continue
            found = torch.autograd.grad(loss, cut or [self.weight], retain_graph=True, allow_unused=True)
            if cut:
                self._of_maps[name] = found
            else:
                self._add(name, found[0])

    def compare_encoder(self, features: Features) -> None:
        """Bring the gradients of the maps that were cut off these features to the weight."""
        maps = [x for x in features.maps if x.requires_grad]
        for name, gradients in self._of_maps.items():
            reached = {x: gradient for x, gradient in zip(maps, gradients) if gradient is not None}
            if reached and self.weight is not None:
                found = torch.autograd.grad(list(reached), self.weight, list(reached.values()), retain_graph=True,
                                            allow_unused=True)
                self._add(name, found[0])
        self._of_maps = {}

    def _add(self, name: str, gradient: Tensor | None) -> None:
        if gradient is not None:
            length = torch.linalg.vector_norm(gradient.float())
            self._sums[name] = self._sums[name] + length if name in self._sums else length
            self._numbers[name] = self._numbers.get(name, 0) + 1

    # the result

    def read(self) -> Reading:
        """What was added up since the last reading; waits for the device."""
        shape = 2, self.num_classes + 1, self.num_classes
        reading = Reading({stage: bins[:-1].view(shape).cpu().numpy() for stage, bins in self._counts.items()},
                          {name: (float(total), self._numbers[name]) for name, total in self._sums.items()})
        self._clear()
        return reading


def _judged(probabilities: Tensor, threshold: float | None) -> tuple[Tensor, Tensor]:
    """Class [B, H, W] of each pixel, and whether its probability reaches the threshold."""
    confidence, predicted = probabilities.max(dim=1)
    return predicted, torch.ones_like(predicted, dtype=torch.bool) if threshold is None else confidence >= threshold
