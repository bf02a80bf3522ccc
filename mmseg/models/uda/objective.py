"""What one idea adds to the training step: one class, one file."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mmseg.models.segmentors.results import Decoded, Features
from mmseg.utils.names import nearest

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator
    from mmseg.models.uda.step_state import StepState, View


class Objective(nn.Module):
    """Base of everything that joins the step of a UDA method.

    An objective names the branch whose student forward it shares, owns its parameters and buffers (they are then in
    the checkpoint), and turns the step state into named losses. Tensors of the step state are read-only to it.
    Objectives do not know each other.

    Attributes:
        name: attribute of the host that holds the objective, and so the prefix of its state-dict keys.
        branch: 'source', 'mix', 'masked' or 'target'.
        keys: the ``uda`` config keys that it reads, with the values that leave it inactive.
        decodes_again: whether it joins by a further decoding of the branch's features, after :meth:`rebuild`, instead
            of sharing the decoder's pass with the others.
    """
    name: str
    branch: str
    keys: dict[str, Any] = {}
    decodes_again: bool = False

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> Objective | None:
        """Build the objective; None if it is inactive.

        Args:
            uda: the ``uda`` section, missing keys filled with :attr:`keys`.
            host: the method under construction: its student is ``host.model``, its teacher ``host.teacher`` or None.
        """
        raise NotImplementedError

    @classmethod
    def from_options(cls, key: str, options: Any, **context: Any) -> Objective:
        """Build the objective from a dict of its own in the ``uda`` section; what is missing has its default.

        Args:
            key: where the dict stands in ``uda``, for messages.
            options: its content, arguments of the constructor.
            context: further arguments, which a config may not set.

        Raises:
            TypeError: if it is no dict or has an unknown entry.
        """
        known = signature(cls).parameters.keys() - context.keys()
        if not isinstance(options, Mapping):
            raise TypeError(f'uda.{key}={options!r} must be a dict with some of {", ".join(sorted(known))}')
        for name in sorted(options.keys() - known):
            raise TypeError(f'uda.{key} has no entry {name!r}: {nearest(name, known)}')
        return cls(**context, **options)

    def on_start(self, step: StepState) -> None:
        """Called first in an iteration, once, without gradients (a teacher of one's own follows the student here)."""

    def view(self, step: StepState) -> View:
        """What the student is fed in the 'masked' or 'target' branch, for the objective that opens that branch."""
        raise NotImplementedError

    def forwards(self, student: nn.Module) -> AbstractContextManager:
        """Context of the student's forwards in the branch or further decoding that this objective joins."""
        return nullcontext()

    def rebuild(self, step: StepState, features: Features) -> Features:
        """Change the student's features of the branch before they are decoded (MRM rebuilds hidden cells)."""
        return features

    def own_losses(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change the segmentor's own losses of the branch, by log name without the branch's prefix (a loss factor)."""
        return values

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> dict[str, Tensor]:
        """Values to add to the branch; entries whose name contains 'loss' are summed and back-propagated.

        Args:
            step: everything this iteration knows so far.
            view: the image, label and weight that the student was fed in this branch.
            features, decoded: the student's encoder and decoder output for it.
        """
        return {}

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Called after the source branch, without gradients (an instance bank fills itself here)."""

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Return better teacher probabilities [B, C, H, W] before labels and confidences are taken from them."""
        return probabilities
