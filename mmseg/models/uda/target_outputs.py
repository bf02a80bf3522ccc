"""Losses on what the student predicts for unlabelled target images: what MinEnt and AdvSeg have in common."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View
from mmseg.utils.kinds import AMOUNT, Section

FACTORS = Section(dict(main=AMOUNT, aux=AMOUNT))


def output_factors(student: BaseSegmentor, setting: Any, key: str) -> dict[str, float]:
    """The loss factor of each of the student's outputs.

    Args:
        student: the segmentor.
        setting: factors of 'main' and 'aux'; several auxiliary heads ('aux_0', 'aux_1', ...) share the latter.
        key: config key of the setting, for the message.

    Raises:
        ValueError: if there is no factor for an output.
    """
    kinds = {name: name.partition('_')[0] for name in student.outputs}
    missing = [kind for kind in kinds.values() if not isinstance(setting, Mapping) or kind not in setting]
    if missing:
        raise ValueError(f'uda.{key}={setting!r} has no factor for the output {missing[0]!r}: '
                         f'use e.g. dict(main=0.001, aux=0.0002)')
    return {name: setting[kind] for name, kind in kinds.items()}


def class_probabilities(logits: Tensor, student: BaseSegmentor) -> Tensor:
    """Class probabilities of image-size logits [B, C, H, W]; with HRDA at the size of the context, as published."""
    size = tuple(int(side * student.context_scale) for side in logits.shape[-2:])
    return resize(logits, size, align_corners=student.align_corners).softmax(dim=1)


class TargetOutputs(Objective):
    """A loss on each output of the student for target images, without labels; it opens the 'target' branch.

    Args:
        factors: of the loss, by output.

    Attributes:
        log: the loss of the output 'main' is logged as ``<log>.loss.main``.
    """
    opens = 'target'
    log: str

    def __init__(self, factors: dict[str, float]) -> None:
        super().__init__()
        self.factors = factors

    def penalty(self, output: str, logits: Tensor, student: BaseSegmentor) -> Tensor:
        """The loss of one output, without its factor, from fp32 logits [B, C, H, W] at image size."""
        raise NotImplementedError

    def view(self, step: StepState) -> View:
        """The target images."""
        return step.target

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """The loss of each output."""
        predictions = step.student.predictions(decoded)
        return Losses({f'{self.log}.loss.{name}': self.factors[name] * self.penalty(name, logits, step.student)
                       for name, logits in predictions.items()})
