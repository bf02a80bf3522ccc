"""What the training loop drives: a module with a train step, a seed and an iteration."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from mmseg.models.named_losses import Losses
from mmseg.utils.draws import Draws
from mmseg.visualization.panels import Panel

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor


class Trainable(nn.Module):
    """Base of everything that can be trained: plain segmentors and UDA methods.

    The runner calls :meth:`first_pass` and then :meth:`start` once, after a possible resume, and :meth:`train_step` for
    every batch.

    With gradient accumulation an iteration has several parts, each a :meth:`train_step` with a batch of its own.

    Attributes:
        seed, rank, iteration: of the run, of this process, and the 0-based iteration that comes next.
        part, parts: 0-based part of the iteration that comes next, and how many there are.
        capture: set before a step, it asks for the maps that the training panels show.
        captured: those maps, as :class:`mmseg.visualization.panels.Panel` items on the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start(0, 0, 0)
        self.capture = False
        self.captured: list[Panel] = []

    def start(self, seed: int, rank: int, iteration: int, parts: int = 1) -> None:
        """Set the seed of the run, the rank of this process, the 0-based iteration that comes next, and its parts."""
        self.seed, self.rank, self.iteration, self.part, self.parts = seed, rank, iteration, 0, parts

    def advance(self) -> None:
        """Go on to the next part, after the last one to the next iteration."""
        self.part = (self.part + 1) % self.parts
        if self.part == 0:
            self.iteration += 1

    @property
    def draws(self) -> Draws:
        """The random draws of the current iteration."""
        return Draws(self.seed, self.rank, self.iteration, self.part)

    def first_pass(self, batches: Iterable[dict[str, Any]], log: Callable[[str], None]) -> None:
        """See what has to be known of the data before the first iteration, unless it is known; most need nothing.

        Each process does this by itself; then all of them get the state of process 0. Only trainings do it: what looks
        at a few iterations (doctor, benchmark, pictures of the batches) does without.

        Args:
            batches: those of the training from its start on, without end unless it is asked to stop; nothing is read
                before the first one is taken.
            log: tells the user what is done.
        """

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> Losses:
        """One training iteration, or a part of it, the optimizer step included (which waits for the last part).

        Args:
            batch: what the collate function made (see mmseg/datasets/collate.py).
            optim_wrapper: an MMEngine ``OptimWrapper``; its ``optim_context`` sets autocast.

        Returns:
            The values to log, as detached tensors on the device: nothing here may wait for the device.
        """
        raise NotImplementedError

    def own_optimizers(self) -> dict[str, Optimizer]:
        """Optimizers that :meth:`train_step` steps itself, by name; checkpoints hold their state."""
        return {}

    def networks(self) -> dict[str, BaseSegmentor]:
        """The segmentors that can be evaluated, by name: 'student' and, where there is one, 'teacher'."""
        raise NotImplementedError
