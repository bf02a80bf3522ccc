"""Common base of the UDA methods: one student, and branches that each end in one backward pass."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_segmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.trainable import Trainable, total_loss
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View


@dataclass
class Branch:
    """One student forward and one backward: every loss that is attached to it.

    Attributes:
        name: 'source', 'mix', 'masked' or 'target'.
        objectives: what joins the branch, besides the segmentor's own losses.
        prefix: of the segmentor's log names.
    """
    name: str
    objectives: list[Objective] = field(default_factory=list)
    prefix: str = ''


class UDADecorator(Trainable):
    """A segmentor (``model``, the student) that a UDA method trains; testing goes straight to the student.

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
    """
    # networks whose train/eval mode the method has fixed: train() leaves them alone
    pinned: tuple[str, ...] = ()

    def __init__(self, model: dict[str, Any], max_iters: int) -> None:
        super().__init__()
        self.model = build_segmentor(model)
        self.max_iters = max_iters
        self.num_classes = self.model.num_classes

    @classmethod
    def config_keys(cls) -> frozenset[str]:
        """Names that the ``uda`` section of a config may use for this method, besides ``type``."""
        raise NotImplementedError

    def networks(self) -> dict[str, nn.Module]:
        return {'student': self.model}

    def init_weights(self) -> None:
        """Load the pretrained weights of the student."""
        self.model.init_weights()

    def train(self, mode: bool = True) -> UDADecorator:
        """Set the mode of everything but the pinned networks."""
        self.training = mode
        for name, child in self.named_children():
            if name not in self.pinned:
                child.train(mode)
        return self

    def run_branch(self, branch: Branch, view: View, step: StepState, optim_wrapper: Any) -> tuple[Features, Decoded]:
        """One student forward, the sum of all losses attached to it, one backward; then the graph is gone.

        Args:
            view: what the student sees in this branch.
            step: receives the values to log.
            optim_wrapper: does the backward and sets autocast.

        Returns:
            The student's features and decoded maps, for those who look at them afterwards without gradients.
        """
        torch.manual_seed(step.draws.integer(f'{branch.name} branch'))  # dropout and drop path
        box = self.model.draw_box(view.img.shape[-2:], step.draws.numpy(f'{branch.name} crop box'))
        with optim_wrapper.optim_context(self):
            features = self.model.encode(view.img, box)
            for objective in branch.objectives:
                features = objective.rebuild(step, features)
            decoded = self.model.decode(features)
            own = self.model.losses(decoded, view.label, view.weight)
            for objective in branch.objectives:
                own = objective.own_losses(own)
            values = {branch.prefix + name: value for name, value in own.items()}
            for objective in branch.objectives:
                values.update(objective.losses(step, view, features, decoded))
        optim_wrapper.backward(total_loss(values))
        step.seen[branch.name] = view
        step.logs.update({name: value.detach() for name, value in values.items()})
        return features, decoded

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the student's ``forward`` does (testing in the style of mmsegmentation 0.16)."""
        return self.model(*args, **kwargs)

    def encode_decode(self, img: Tensor) -> Tensor:
        """Image-size logits [B, C, H, W] of the student."""
        return self.model.encode_decode(img)

    def simple_test(self, *args: Any, **kwargs: Any) -> list:
        """Label maps of the student for one image each."""
        return self.model.simple_test(*args, **kwargs)

    def aug_test(self, *args: Any, **kwargs: Any) -> list:
        """Label maps of the student, averaged over test-time augmentations."""
        return self.model.aug_test(*args, **kwargs)
