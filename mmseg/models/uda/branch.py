"""A branch of a training step: one forward of the student, all losses attached to it, one backward."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View


@dataclass
class Branch:
    """One student forward and one backward: every loss that is attached to it.

    Attributes:
        name: of the branch, which also names its random draws.
        make_view: what the student is fed, from the state of the step.
        prefix: of the segmentor's log names.
        objectives: what joins the branch, besides the segmentor's own losses.
        again: further decodings of the same features, each with losses of its own; they make the branch a staged one.
    """
    name: str
    make_view: Callable[[StepState], View]
    prefix: str = ''
    objectives: list[Objective] = field(default_factory=list)
    again: list[Branch] = field(default_factory=list)

    @torch.no_grad()
    def view(self, step: StepState) -> View:
        """What the student is fed and what supervises it."""
        return self.make_view(step)

    def join(self, objective: Objective) -> None:
        """Attach an objective: to the branch itself, or to a decoding of its own."""
        if objective.decodes_again:
            own = Branch(self.name, self.make_view, f'{self.name}.{objective.name}.', [objective])
            self.again.append(own)
        else:
            self.objectives.append(objective)

    @contextmanager
    def forwards(self, student: BaseSegmentor) -> Iterator[None]:
        """Context of the student's forwards in this branch, as the objectives ask for it."""
        with ExitStack() as stack:
            for objective in self.objectives:
                stack.enter_context(objective.forwards(student))
            yield

    def run(self, step: StepState, optim_wrapper: Any) -> tuple[Features, Decoded]:
        """One student forward, the sum of all losses attached to it, one backward; then the graph is gone.

        A staged branch decodes its features more than once: each decoder's graph is back-propagated into the features
        and freed before the next one is made, then the encoder's. The gradients are those of one joint backward.

        Args:
            step: receives the values to log; without labels in the view the segmentor's own losses are left out.
            optim_wrapper: does the backward.

        Returns:
            The student's features and decoded maps, for those who look at them afterwards without gradients.
        """
        view, student = self.view(step), step.student
        torch.manual_seed(step.draws.integer(f'{self.name} branch'))  # dropout and drop path
        box = student.draw_box(view.img.shape[-2:], step.draws.numpy(f'{self.name} crop box'))
        with step.autocast(), self.forwards(student):
            features = student.encode(view.img, box)
        cut = features.cut() if self.again else features
        decoded = self._decode(cut, view, step, optim_wrapper)
        for further in self.again:
            further._decode(cut, view, step, optim_wrapper)
        if self.again:
            with self.forwards(student):
                if step.meters is not None:
                    step.meters.compare_encoder(features)
                features.backward(cut)
        step.seen[self.name] = view
        return features, decoded

    def _decode(self, features: Features, view: View, step: StepState, optim_wrapper: Any) -> Decoded:
        """Decode the features, or what the objectives make of them, and back-propagate the losses."""
        student, encoded = step.student, features
        with self.forwards(student):  # around backward passes, too: with_cp recomputes in them
            with step.autocast():
                for objective in self.objectives:
                    features = objective.rebuild(step, features)
                decoded = student.decode(features)
                own = Losses() if view.label is None else student.losses(decoded, view.label, view.weight)
                for objective in self.objectives:
                    own = objective.own_losses(own)
                losses = own.prefixed(self.prefix)
                for objective in self.objectives:
                    losses |= objective.losses(step, view, features, decoded)
            if step.meters is not None:
                step.meters.compare(losses, encoded)
            decoded.full = None  # as large as the image: the losses have kept what they need of it
            optim_wrapper.backward(losses.total())
        step.logs |= losses.detached()
        return decoded


def open_branches(views: Mapping[str, tuple[str, Callable[[StepState], View]]], objectives: Iterable[Objective]
                  ) -> dict[str, Branch]:
    """The branches of a step, by name: those of the host first, then those that objectives open, in their order.

    Args:
        views: by name, the log prefix and the view of the host's own branches.
        objectives: each opens a branch, joins one, or neither.

    Raises:
        ValueError: if two open a branch of one name, or one joins a branch that nobody opens, naming both.
    """
    objectives = list(objectives)
    branches = {name: Branch(name, view, prefix) for name, (prefix, view) in views.items()}
    openers = dict.fromkeys(branches, 'the method itself')
    for objective in objectives:
        name = objective.opens
        if name is None:
            continue
        if name in branches:
            raise ValueError(f'{openers[name]} and {objective.title} both open the branch {name!r}: remove one of '
                             'them, or let one join what the other opens')
        branches[name], openers[name] = Branch(name, _viewed(objective), f'{name}.', [objective]), objective.title
    for objective in objectives:
        name = objective.joins
        if name is not None and name not in branches:
            raise ValueError(f'{objective.title} joins the branch {name!r}, but nothing opens it{_hint(name)}; there '
                             f'are {", ".join(branches)}')
        if name is not None:
            branches[name].join(objective)
    return branches


def _viewed(objective: Objective) -> Callable[[StepState], View]:
    return lambda step: objective.view(step)


def _hint(name: str) -> str:
    """Which registered objectives would open a branch."""
    from mmseg.registry import OBJECTIVES
    titles = [cls.title for cls in OBJECTIVES.module_dict.values() if cls.opens == name]
    return f': switch on {" or ".join(titles)}' if titles else ''
