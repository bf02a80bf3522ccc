"""Common base of the UDA methods (hosts): one student, objectives, and branches that each end in one backward pass."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mmseg.models.builder import build_segmentor
from mmseg.models.named_losses import Losses
from mmseg.models.preprocess import check_labels, image_constants, prepare
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded
from mmseg.models.trainable import Trainable
from mmseg.models.uda.branch import open_branches
from mmseg.models.uda.meters import Meters
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import AMOUNT, SHARE, WHOLE, Values
from mmseg.utils.labels import TARGET_LABEL
from mmseg.utils.names import nearest
from mmseg.visualization.panels import Panel

# Keys of all hosts and their defaults: what makes pseudo labels and strong augmentation, which MIC needs everywhere.
KEYS = dict(
    alpha=0.99,
    pseudo_threshold=0.968,
    pseudo_weight_ignore_top=0,
    pseudo_weight_ignore_bottom=0,
    blur=True,
    color_jitter_strength=0.2,
    color_jitter_probability=0.2,
    debug_img_interval=1000,
)


class UDADecorator(Trainable):
    """A segmentor (``model``, the student) that a UDA method trains; testing goes straight to the student.

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        crop_size: (height, width) of the training crops, if known; objectives may build networks for it.
        **uda: the keys of the host and of the objectives that may join it.

    Keys:
        alpha: decay of the teacher; the first iterations use min(1 - 1/(t+1), alpha).
        pseudo_threshold: probability from which a target pixel counts as confident. The share of such pixels in the
            batch is the weight of its pseudo labels.
        pseudo_weight_ignore_top: rows of the crop, from the top, whose pseudo labels get weight 0.
        pseudo_weight_ignore_bottom: the same from the bottom.
        blur: whether mixed images may be blurred (half of the iterations are).
        color_jitter_strength: brightness, contrast and saturation up to 1 ± this, hue up to ± this share of the circle.
        color_jitter_probability: a threshold: the jitter is applied where a uniform draw exceeds it, by default with
            probability 0.8. Kept as published.
        debug_img_interval: old name of ``log_config.img_interval``, moved there when a config is loaded.

    Attributes:
        keys: the host's own ``uda`` keys and other defaults of :data:`KEYS`.
        key_kinds: of them, where the default does not say what a config may give.
        pinned: names of networks whose train/eval mode is fixed: train() leaves them alone.
        teacher: the host's EMA teacher, for objectives to share; None if it has none.
        why_no_teacher: ends the message for an objective that needs one.
        uses_target: whether batches hold target images.
        branches: those of a step, by name, in the order in which they run.
        meters: what measures the training, if somebody has set it; it changes nothing of it.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be.
    """
    keys: dict[str, Any] = {}
    key_kinds = dict(alpha=SHARE, pseudo_threshold=SHARE, color_jitter_strength=AMOUNT | Values(AMOUNT),
                     color_jitter_probability=SHARE, **dict.fromkeys((
                         'pseudo_weight_ignore_top', 'pseudo_weight_ignore_bottom', 'debug_img_interval'), WHOLE))
    why_no_teacher: str = 'this method does not have'
    uses_target: bool = True

    def __init__(self, model: dict[str, Any], max_iters: int, crop_size: tuple[int, int] | None = None,
                 **uda: Any) -> None:
        super().__init__()
        self.settings = self.check_settings(uda)
        self.model = build_segmentor(model)
        self.max_iters, self.crop_size = max_iters, crop_size
        self.num_classes = self.model.num_classes
        self.model_cfg = model
        self.teacher: EMATeacher | None = None
        self.pinned: list[str] = []
        self.objectives: list[Objective] = []
        self.meters: Meters | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """All keys with their defaults."""
        found = {**KEYS, **cls.keys}
        for objective in cls.objective_classes():
            found.update(objective.keys)
        return found

    @classmethod
    def objective_classes(cls) -> list[type[Objective]]:
        """The registered objectives; which of them fit this host shows when they are switched on."""
        return list(OBJECTIVES.module_dict.values())

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
        for objective in self.objectives:  # last, as in published checkpoints
            for name, module in objective.mounted().items():
                self.add_module(name, module)
                self.pinned.append(name)

    def add_objective(self, objective: Objective) -> None:
        """Let an objective join the step; its parameters and buffers stand below its name in the state dict.

        Raises:
            ValueError: if it needs a teacher and there is none.
        """
        if objective.needs_teacher and self.teacher is None:
            raise ValueError(f'{objective.title} learns from pseudo labels: it needs a teacher, which '
                             f'{self.why_no_teacher}')
        self.add_module(objective.name, objective)
        self.objectives.append(objective)

    def open_branches(self, **views: tuple[str, Callable[[StepState], View]]) -> None:
        """Set :attr:`branches`: the host's own, each with log prefix and view, and those of the objectives."""
        self.branches = open_branches(views, self.objectives)

    def networks(self) -> dict[str, BaseSegmentor]:
        """The student; a method with a teacher adds it."""
        return {'student': self.model}

    def init_weights(self) -> None:
        """Load the pretrained weights of the student, and tell the objectives."""
        self.model.init_weights()
        for objective in self.objectives:
            objective.init_weights(self.model)

    def train(self, mode: bool = True) -> UDADecorator:
        """Set the mode of everything but the pinned networks."""
        self.training = mode
        for name, child in self.named_children():
            if name not in self.pinned:
                child.train(mode)
        return self

    def first_pass(self, batches: Iterable[dict[str, Any]], log: Callable[[str], None]) -> None:
        """Let the objectives see what they need of the data before the first iteration."""
        for objective in self.objectives:
            objective.first_pass(self.model, batches, log)

    # parts of a training step

    def begin(self, batch: dict[str, Any], optim_wrapper: Any) -> StepState:
        """Bring the batch to the device, normalised, and open the state of this iteration, without old gradients."""
        device = next(self.model.parameters()).device
        mean, std = image_constants(batch['img_metas'][0]['img_norm_cfg'], device)
        check_labels(batch, self.num_classes)
        data = prepare(batch, device)
        self.check_batch(data)
        if self.meters is not None:
            self.meters.label = data.get(TARGET_LABEL)
        step = StepState(
            draws=self.draws,
            student=self.model,
            source=View(data['img'], data['gt_semantic_seg']),
            target_img=data.get('target_img'),
            mean=mean,
            std=std,
            classes=batch.get('classes'),
            valid=data.get('valid_pseudo_mask'),
            autocast=lambda: optim_wrapper.optim_context(self),
            meters=self.meters)
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

    def run_source(self, step: StepState, optim_wrapper: Any) -> Decoded:
        """The source branch, and what follows from it in the objectives; returns what the student decoded."""
        features, decoded = self.branches['source'].run(step, optim_wrapper)
        with torch.no_grad():
            for objective in self.objectives:
                objective.on_source(step, features, decoded)
        return decoded

    def run_others(self, step: StepState, optim_wrapper: Any) -> None:
        """All other branches, one after the other."""
        for name, branch in self.branches.items():
            if name != 'source':
                branch.run(step, optim_wrapper)

    def end(self, step: StepState) -> Losses:
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
