"""What one idea adds to the training step: one class, one file."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.utils.kinds import Kind
from mmseg.utils.names import nearest

if TYPE_CHECKING:
    from typing_extensions import Self

    from mmseg.models.uda.base import UDADecorator
    from mmseg.models.uda.step_state import StepState, View


class Objective(nn.Module):
    """Base of everything that joins the step of a UDA method.

    An objective shares the student forward of a branch that it joins, or has one of its own in a branch that it opens.
    It owns its parameters and buffers (they are then in the checkpoint), and turns the step state into named losses.
    Tensors of the step state are read-only to it. Objectives do not know each other.

    Attributes:
        name: attribute of the host that holds the objective, and so the prefix of its state-dict keys.
        opens: a new branch, whose images and labels :meth:`view` gives; None: none. Any name will do that nobody else
            uses.
        joins: the branch of somebody else ('source' of every method, 'mix' of DACS, 'masked' of MIC, ...); None: none.
        keys: the ``uda`` config keys that it reads, with the values that leave it inactive.
        key_kinds: kinds of those whose value does not tell what a config may give. Without one a number has to be a
            number of at least 0, a flag a flag, a text a text; None allows anything until the objective is built.
        needs_teacher: whether it cannot do without the pseudo labels of the method's EMA teacher.
        decodes_again: whether it joins by a further decoding of the branch's features, after :meth:`rebuild`, instead
            of sharing the decoder's pass with the others.
        networks: whole segmentors that it keeps, by their state-dict prefix: programs can test and export them.
        title: what messages call it.
    """
    name: str
    opens: str | None = None
    joins: str | None = None
    keys: dict[str, Any] = {}
    key_kinds: dict[str, Kind] = {}
    needs_teacher: bool = False
    decodes_again: bool = False
    networks: tuple[str, ...] = ()
    title: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.title = f'{cls.__name__} (uda.{next(iter(cls.keys))})' if cls.keys else cls.__name__

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> Self | None:
        """Build the objective; None if it is inactive.

        Args:
            uda: the ``uda`` section, missing keys filled with :attr:`keys`.
            host: the method under construction: its student is ``host.model``, its teacher ``host.teacher`` or None.
        """
        raise NotImplementedError

    @classmethod
    def from_options(cls, key: str, options: Any, **context: Any) -> Self:
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

    @classmethod
    def without_weights(cls, uda: dict[str, Any]) -> dict[str, Any]:
        """Entries of ``uda`` to change where nothing is learned and weights do not matter: for looking at batches."""
        return {}

    @classmethod
    def class_ids(cls, uda: dict[str, Any]) -> dict[str, list[int]]:
        """The ids of classes that the ``uda`` section names, by key."""
        return {}

    def mounted(self) -> dict[str, nn.Module]:
        """Modules of its own that stand at the top of the host, by name, as published checkpoints have them.

        The objective must not hold them as submodules, too. Their mode is its business: the host leaves it alone.
        """
        return {}

    def optimizer_options(self) -> dict[str, float]:
        """``lr`` and ``weight_decay`` of its parameters, where they are not those that the config says."""
        return {}

    def init_weights(self, student: BaseSegmentor) -> None:
        """Called once the student has its pretrained weights."""

    def first_pass(self, student: BaseSegmentor, batches: Iterable[dict[str, Any]],
                   log: Callable[[str], None]) -> None:
        """See what has to be known of the data before the first iteration, unless it is known.

        Args:
            student: as it starts, weights and all; leave it as it is.
            batches: of the training, see :meth:`Trainable.first_pass <mmseg.models.trainable.Trainable.first_pass>`.
            log: prints a line, see there.
        """

    def on_start(self, step: StepState) -> None:
        """Called first in an iteration, once, without gradients (a teacher of one's own follows the student here)."""

    def view(self, step: StepState) -> View:
        """What the student is fed in the branch that this objective opens."""
        raise NotImplementedError

    def forwards(self, student: BaseSegmentor) -> AbstractContextManager:
        """Context of the student's forwards in the branch or further decoding that this objective joins."""
        return nullcontext()

    def rebuild(self, step: StepState, features: Features) -> Features:
        """Change the student's features of the branch before they are decoded (MRM rebuilds hidden cells)."""
        return features

    def own_losses(self, losses: Losses) -> Losses:
        """Change the segmentor's own losses of the branch, by log name without the branch's prefix (a loss factor)."""
        return losses

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """Values to add to the branch: those that are trained, and those that are logged only.

        Args:
            step: everything this iteration knows so far.
            view: the image, label and weight that the student was fed in this branch.
            features: the student's encoder output for it.
            decoded: its decoder output.
        """
        return Losses()

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Called after the source branch, without gradients (an instance bank fills itself here)."""

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Return better teacher probabilities [B, C, H, W] before labels and confidences are taken from them."""
        return probabilities
