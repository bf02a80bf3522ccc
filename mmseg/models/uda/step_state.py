"""What one iteration knows: each item is made once, in its phase, and only read afterwards."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.uda.meters import Meters
from mmseg.models.uda.pseudo_label import PseudoLabels, valid_pixels
from mmseg.utils.draws import Draws
from mmseg.visualization.panels import Panel

T = TypeVar('T')


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

    @property
    def required_label(self) -> Tensor:
        """The label, for those who cannot do without.

        Raises:
            ValueError: if nothing is labelled.
        """
        if self.label is None:
            raise ValueError('the images of this branch have no labels')
        return self.label


@dataclass(eq=False)
class Item(Generic[T]):
    """Typed key of what one phase of the step makes and later ones read; an objective may define keys of its own.

    Two keys are the same if they are one object: objectives do not meet by using the same name.

    Attributes:
        name: what messages call it.
        phase: when it is made, for those who ask too early.
    """
    name: str
    phase: str


class Items:
    """What the phases of a step have made, by :class:`Item`: each is made once, and only read afterwards."""

    def __init__(self) -> None:
        self._values: dict[Item[Any], Any] = {}

    def __getitem__(self, item: Item[T]) -> T:
        """The value of an item.

        Raises:
            RuntimeError: if it is not made yet.
        """
        if item not in self._values:
            raise RuntimeError(f'the step asked for {item.name} too early: {item.phase}')
        return self._values[item]

    def __setitem__(self, item: Item[T], value: T) -> None:
        """Keep what was made.

        Raises:
            RuntimeError: if it was made before.
        """
        if item in self._values:
            raise RuntimeError(f'the step made {item.name} twice')
        self._values[item] = value


PSEUDO: Item[PseudoLabels] = Item('pseudo', 'pseudo labels are made after the source branch, in phase 3')
MIX_MASK: Item[Tensor] = Item('mix_mask', 'it is drawn with the mixed images, after the pseudo labels')
MIX: Item[View] = Item('mix', 'it is made after the pseudo labels, in phase 3')


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
        items: what the phases make: what is below, and what an objective keeps for itself from one phase to a later
            one, as ``step.items[ITEM]`` with an :class:`Item` of its own.
        notes: what objectives add to the training panels (the label cells of the feature distance).
        meters: what measures the step (``--meters``), or None; nothing in it is for training.
    """
    draws: Draws
    student: BaseSegmentor
    source: View
    target_img: Tensor | None
    mean: Tensor
    std: Tensor
    classes: np.ndarray | None = None
    valid: Tensor | None = None
    autocast: Callable[[], AbstractContextManager] = nullcontext
    seen: dict[str, View] = field(default_factory=dict)
    logs: Losses = field(default_factory=Losses)
    items: Items = field(default_factory=Items)
    notes: list[Panel] = field(default_factory=list)
    meters: Meters | None = None

    def measure(self, stage: str, probabilities: Tensor, threshold: float | None, ignore_top: int,
                ignore_bottom: int) -> None:
        """Let the meters, if there are any, count a stage of pseudo labels.

        Args:
            stage: its name in the log.
            probabilities: float32 [B, C, H, W], which pseudo labels are or could be taken from.
            threshold: see :func:`~mmseg.models.uda.pseudo_label.make_pseudo_labels`.
            ignore_top: rows without weight, see there.
            ignore_bottom: the same from the bottom.
        """
        if self.meters is not None:
            valid = valid_pixels(probabilities[:, 0], ignore_top, ignore_bottom, self.valid)
            self.meters.count(stage, probabilities, threshold, valid)

    @property
    def target(self) -> View:
        """The target images, which have no labels.

        Raises:
            ValueError: if the method trains on source images alone.
        """
        if self.target_img is None:
            raise ValueError('this step has source images only')
        return View(self.target_img)

    @property
    def pseudo(self) -> PseudoLabels:
        """The teacher's pseudo labels; exist from phase 3 on.

        Raises:
            RuntimeError: when asked for before the source branch and its followers (phase 2) have ended.
        """
        return self.items[PSEUDO]

    @pseudo.setter
    def pseudo(self, value: PseudoLabels) -> None:
        self.items[PSEUDO] = value

    @property
    def mix_mask(self) -> Tensor:
        """Bool [B, 1, H, W], True where the mixed image shows the source."""
        return self.items[MIX_MASK]

    @mix_mask.setter
    def mix_mask(self, value: Tensor) -> None:
        self.items[MIX_MASK] = value

    @property
    def mix(self) -> View:
        """The ClassMix images, strongly augmented, with mixed labels and weights."""
        return self.items[MIX]

    @mix.setter
    def mix(self, value: View) -> None:
        self.items[MIX] = value
