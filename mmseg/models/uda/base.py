"""Common base of the UDA methods (hosts): one student, objectives, and branches that each end in one backward pass."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_segmentor
from mmseg.models.preprocess import check_labels, image_constants, prepare
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.trainable import Trainable, total_loss
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View
from mmseg.registry import OBJECTIVES
from mmseg.utils.names import nearest
from mmseg.visualization.panels import Panel

# Keys of all hosts and their defaults: what makes pseudo labels and strong augmentation, which MIC needs everywhere.
KEYS = dict(
    alpha=0.99,  # EMA decay of the teacher (0.999 in DAFormer)
    pseudo_threshold=0.968,  # probability from which a target pixel counts as confident
    pseudo_weight_ignore_top=0,  # rows of the crop that get pseudo-label weight 0
    pseudo_weight_ignore_bottom=0,
    blur=True,
    color_jitter_strength=0.2,
    color_jitter_probability=0.2,  # applied when a uniform draw is greater, that is, with probability 0.8
    debug_img_interval=1000,  # iterations between training panels
)


@dataclass
class Branch:
    """One student forward and one backward: every loss that is attached to it.

    Attributes:
        name: 'source', 'mix', 'masked' or 'target'.
        objectives: what joins the branch, besides the segmentor's own losses.
        prefix: of the segmentor's log names.
        again: further decodings of the same features, each with losses of its own; they make the branch a staged one.
    """
    name: str
    objectives: list[Objective] = field(default_factory=list)
    prefix: str = ''
    again: list[Branch] = field(default_factory=list)

    @torch.no_grad()
    def view(self, step: StepState) -> View:
        """What the student is fed: the first objective opens the branch."""
        return self.objectives[0].view(step)

    @contextmanager
    def forwards(self, student: nn.Module) -> Iterator[None]:
        """Context of the student's forwards in this branch, as the objectives ask for it."""
        with ExitStack() as stack:
            for objective in self.objectives:
                stack.enter_context(objective.forwards(student))
            yield


class UDADecorator(Trainable):
    """A segmentor (``model``, the student) that a UDA method trains; testing goes straight to the student.

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        crop_size: (height, width) of the training crops, if known; objectives may build networks for it.
        **uda: the keys of the host and of the objectives that may join it.

    Attributes:
        keys: the host's own ``uda`` keys and other defaults of :data:`KEYS`.
        pinned: networks whose train/eval mode the method has fixed: train() leaves them alone.
        branches: those that an objective may join; objectives of other branches are unknown to this host.
        teacher: the host's EMA teacher, for objectives to share; None if it has none.
        imnet_model: the frozen ImageNet network of the feature distance, or None.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be.
    """
    keys: dict[str, Any] = {}
    pinned: tuple[str, ...] = ()
    branches: tuple[str, ...] = ('masked', )

    def __init__(self, model: dict[str, Any], max_iters: int, crop_size: tuple[int, int] | None = None,
                 **uda: Any) -> None:
        super().__init__()
        self.settings = self.check_settings(uda)
        self.model = build_segmentor(model)
        self.max_iters, self.crop_size = max_iters, crop_size
        self.num_classes = self.model.num_classes
        self.teacher = self.imnet_model = None
        self.objectives: list[Objective] = []

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """All keys with their defaults."""
        found = {**KEYS, **cls.keys}
        for objective in cls.objective_classes():
            found.update(objective.keys)
        return found

    @classmethod
    def objective_classes(cls) -> list[type[Objective]]:
        """The registered objectives that may join this host."""
        return [objective for objective in OBJECTIVES.module_dict.values() if objective.branch in cls.branches]

    @classmethod
    def config_keys(cls) -> frozenset[str]:
        """Names that the ``uda`` section of a config may use for this method, besides ``type``."""
        return frozenset(cls.defaults())

    @classmethod
    def check_settings(cls, uda: dict[str, Any]) -> dict[str, Any]:
        """All keys with their values, missing ones at the default.

        Raises:
            TypeError: for an unknown key.
            ValueError: for a value that cannot be.
        """
        for name in sorted(set(uda) - cls.config_keys()):
            raise TypeError(f'uda: {cls.__name__} has no key {name!r}: {nearest(name, cls.config_keys())}')
        settings = {name: uda.get(name, default) for name, default in cls.defaults().items()}
        if not 0 <= settings['alpha'] <= 1:
            raise ValueError(f"uda.alpha={settings['alpha']}: the EMA decay lies in [0, 1]")
        return settings

    def add_objectives(self) -> None:
        """Build the objectives that the settings switch on; their random weights change nobody else's."""
        for objective_class in self.objective_classes():
            with torch.random.fork_rng(devices=[]):
                objective = objective_class.from_config(self.settings, self)
            if objective is not None:
                self.add_objective(objective)

    def add_objective(self, objective: Objective) -> None:
        """Let an objective join the step; its parameters and buffers stand below its name in the state dict."""
        self.add_module(objective.name, objective)
        self.objectives.append(objective)

    def joining(self, branch: str) -> list[Objective]:
        """The objectives of a branch."""
        return [objective for objective in self.objectives if objective.branch == branch]

    def open_branches(self, *names: str, always: str | None = None) -> list[Branch]:
        """Those of the named target branches that an objective joins; ``always`` is there without one, too."""
        return [self.open_branch(name) for name in names if self.joining(name) or name == always]

    def open_branch(self, name: str) -> Branch:
        """The branch of that name, with a further decoding for each objective that asks for one."""
        joining = self.joining(name)
        again = [Branch(name, [objective], f'{name}.{objective.name}.') for objective in joining
                 if objective.decodes_again]
        return Branch(name, [objective for objective in joining if not objective.decodes_again], f'{name}.', again)

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

    # parts of a training step

    def begin(self, batch: dict[str, Any], optim_wrapper: Any) -> StepState:
        """Bring the batch to the device, normalised, and open the state of this iteration, without old gradients."""
        device = next(self.model.parameters()).device
        mean, std = image_constants(batch['img_metas'][0]['img_norm_cfg'], device)
        check_labels(batch, self.num_classes)
        data = prepare(batch, device)
        self.check_batch(data)
        step = StepState(
            draws=self.draws,
            student=self.model,
            reference=self.imnet_model,
            source=View(data['img'], data['gt_semantic_seg']),
            target_img=data.get('target_img'),
            mean=mean,
            std=std,
            classes=batch.get('classes'),
            valid=data.get('valid_pseudo_mask'),
            autocast=lambda: optim_wrapper.optim_context(self))
        optim_wrapper.zero_grad()
        if self.part == 0:
            with torch.no_grad():
                for objective in self.objectives:
                    objective.on_start(step)
        return step

    def check_batch(self, data: dict[str, Any]) -> None:
        """Refuse batches whose margins are cut twice."""
        margins = self.settings['pseudo_weight_ignore_top'] or self.settings['pseudo_weight_ignore_bottom']
        if margins and 'valid_pseudo_mask' in data:
            raise ValueError('data.train.target.crop_pseudo_margins and uda.pseudo_weight_ignore_top/bottom both cut '
                             'the margins of pseudo labels: keep one of them')

    def run_source(self, branch: Branch, step: StepState, optim_wrapper: Any) -> Decoded:
        """The source branch, and what follows from it in the objectives; returns what the student decoded."""
        features, decoded = self.run_branch(branch, step.source, step, optim_wrapper)
        with torch.no_grad():
            for objective in self.objectives:
                objective.on_source(step, features, decoded)
        return decoded

    def run_branch(self, branch: Branch, view: View, step: StepState, optim_wrapper: Any) -> tuple[Features, Decoded]:
        """One student forward, the sum of all losses attached to it, one backward; then the graph is gone.

        A staged branch decodes its features more than once: each decoder's graph is back-propagated into the features
        and freed before the next one is made, then the encoder's. The gradients are those of one joint backward.

        Args:
            view: what the student sees in this branch; without labels the segmentor's own losses are left out.
            step: receives the values to log.
            optim_wrapper: does the backward and sets autocast.

        Returns:
            The student's features and decoded maps, for those who look at them afterwards without gradients.
        """
        torch.manual_seed(step.draws.integer(f'{branch.name} branch'))  # dropout and drop path
        box = self.model.draw_box(view.img.shape[-2:], step.draws.numpy(f'{branch.name} crop box'))
        with optim_wrapper.optim_context(self), branch.forwards(self.model):
            features = self.model.encode(view.img, box)
        cut = features.cut() if branch.again else features
        decoded = self.run_decoder(branch, cut, view, step, optim_wrapper)
        for further in branch.again:
            self.run_decoder(further, cut, view, step, optim_wrapper)
        if branch.again:
            with branch.forwards(self.model):
                features.backward(cut)
        step.seen[branch.name] = view
        return features, decoded

    def run_decoder(self, branch: Branch, features: Features, view: View, step: StepState,
                    optim_wrapper: Any) -> Decoded:
        """Decode the features of a branch, or what its objectives make of them, and back-propagate its losses."""
        with branch.forwards(self.model):  # around backward passes, too: with_cp recomputes in them
            with optim_wrapper.optim_context(self):
                for objective in branch.objectives:
                    features = objective.rebuild(step, features)
                decoded = self.model.decode(features)
                own = {} if view.label is None else self.model.losses(decoded, view.label, view.weight)
                for objective in branch.objectives:
                    own = objective.own_losses(own)
                values = {branch.prefix + name: value for name, value in own.items()}
                for objective in branch.objectives:
                    values.update(objective.losses(step, view, features, decoded))
            optim_wrapper.backward(total_loss(values))
        step.logs.update({name: value.detach() for name, value in values.items()})
        return decoded

    def end(self, step: StepState) -> dict[str, Tensor]:
        """Close the iteration, after the optimizer step; returns the values to log."""
        if self.capture:
            self.captured = self.panels(step) + step.notes
        self.advance()
        return step.logs

    def panels(self, step: StepState) -> list[Panel]:
        """What the training panels show of this step: the images and labels of each branch."""
        panels = []
        for name, view in step.seen.items():
            title = 'Mixed' if name == 'mix' else name.capitalize()
            panels.append(Panel(title, 'image', view.img))
            if view.label is not None:
                panels.append(Panel(f'{title} label', 'label', view.label))
        return panels

    # testing

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
