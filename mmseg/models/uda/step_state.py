"""What one iteration knows: each item is made once, in its phase, and only read afterwards."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from mmseg.models.named_losses import Losses
from mmseg.models.uda.pseudo_label import PseudoLabels
from mmseg.utils.draws import Draws
from mmseg.visualization.panels import Panel


class View(NamedTuple):
    """What the student is fed in a branch and what supervises it.

    Attributes:
        img: normalised [B, 3, H, W].
        label: int64 [B, H, W], 255 is ignored; None where nothing is labelled.
        weight: float32 [B, H, W], or None for 1 everywhere.
    """
    img: Tensor
    label: Tensor | None = None
    weight: Tensor | None = None


@dataclass
class StepState:
    """State of one training iteration of a UDA method.

    Attributes:
        draws: the random draws of this iteration.
        student: the segmentor that learns.
        source: the source images with their labels.
        target_img: normalised [B, 3, H, W].
        mean, std: [1, 3, 1, 1], of the image normalisation, in grey levels.
        classes: sorted label ids of the source batch, as found by the collate function, or None.
        valid: float [B, H, W], 0 where target pixels must not be trained on; None where all may be.
        autocast: opens the context in which networks compute (mixed precision).
        seen: what the student was fed, by branch, as the branches end.
        logs: detached values to log, collected branch by branch.
        kept: what an objective keeps for itself from one phase to a later one, by its name.
        notes: what objectives add to the training panels (the label cells of the feature distance).
    """
    draws: Draws
    student: nn.Module
    source: View
    target_img: Tensor | None
    mean: Tensor
    std: Tensor
    classes: np.ndarray | None = None
    valid: Tensor | None = None
    autocast: Callable[[], AbstractContextManager] = nullcontext
    seen: dict[str, View] = field(default_factory=dict)
    logs: Losses = field(default_factory=Losses)
    kept: dict[str, Any] = field(default_factory=dict)
    notes: list[Panel] = field(default_factory=list)
    _made: dict[str, Any] = field(default_factory=dict)

    def _get(self, name: str, phase: str) -> Any:
        if name not in self._made:
            raise RuntimeError(f'the step asked for {name} too early: {phase}')
        return self._made[name]

    def _set(self, name: str, value: Any) -> None:
        if name in self._made:
            raise RuntimeError(f'the step made {name} twice')
        self._made[name] = value

    @property
    def pseudo(self) -> PseudoLabels:
        """The teacher's pseudo labels; exist from phase 3 on.

        Raises:
            RuntimeError: when asked for before the source branch and its followers (phase 2) have ended.
        """
        return self._get('pseudo', 'pseudo labels are made after the source branch, in phase 3')

    @pseudo.setter
    def pseudo(self, value: PseudoLabels) -> None:
        self._set('pseudo', value)

    @property
    def mix_mask(self) -> Tensor:
        """Bool [B, 1, H, W], True where the mixed image shows the source."""
        return self._get('mix_mask', 'it is drawn with the mixed images, after the pseudo labels')

    @mix_mask.setter
    def mix_mask(self, value: Tensor) -> None:
        self._set('mix_mask', value)

    @property
    def mix(self) -> View:
        """The ClassMix images, strongly augmented, with mixed labels and weights."""
        return self._get('mix', 'it is made after the pseudo labels, in phase 3')

    @mix.setter
    def mix(self, value: View) -> None:
        self._set('mix', value)
