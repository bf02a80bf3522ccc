"""DACS self-training, the host of DAFormer, HRDA, MIC, MRM, EBDA and DIDA: THE training step."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_segmentor
from mmseg.models.preprocess import image_constants, prepare
from mmseg.models.uda.base import Branch, UDADecorator
from mmseg.models.uda.class_mix import class_mask, draw_class_table, mix
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.pseudo_label import PseudoLabels, make_pseudo_labels
from mmseg.models.uda.step_state import StepState, View
from mmseg.models.uda.strong_augment import StrongAugment
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import OBJECTIVES, UDA
from mmseg.utils.names import nearest
from mmseg.visualization.panels import Panel

TARGET_BRANCHES = ('mix', 'masked', 'target')

# The keys of the host and their defaults; those of the objectives stand in their files.
KEYS = dict(
    source_only=False,  # train on the source alone: no teacher, no mixing
    alpha=0.99,  # EMA decay of the teacher (0.999 in DAFormer)
    pseudo_threshold=0.968,  # probability from which a target pixel counts as confident
    pseudo_weight_ignore_top=0,  # rows of the crop that get pseudo-label weight 0
    pseudo_weight_ignore_bottom=0,
    mix='class',
    blur=True,
    color_jitter_strength=0.2,
    color_jitter_probability=0.2,  # applied when a uniform draw is greater, that is, with probability 0.8
    debug_img_interval=1000,  # iterations between training panels
)
# Keys of methods that are not implemented yet, with the value that leaves them off.
PLANNED = dict(mrm=None, entropy_balance=None, instance_bank=None)


@UDA.register_module()
class DACS(UDADecorator):
    """Self-training with ClassMix and an EMA teacher; the ``uda`` keys switch objectives on (DAFormer section 3).

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        **uda: the keys of :data:`KEYS` and of the registered objectives.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be, or a feature distance without pretrained weights.
    """
    pinned = ('ema_model', 'imnet_model')

    def __init__(self, model: dict[str, Any], max_iters: int, **uda: Any) -> None:
        super().__init__(model, max_iters)
        self.settings = settings = self._settings(uda)
        self.teacher = None
        if not settings['source_only']:
            self.ema_model = build_segmentor(model)
            self.teacher = EMATeacher(self.ema_model, settings['alpha'])
        self.objectives = []
        for objective_class in OBJECTIVES.module_dict.values():
            objective = objective_class.from_config(settings, self)
            if objective is not None:
                self.add_module(objective.name, objective)
                self.objectives.append(objective)
        self.imnet_model = self._reference(model) if settings['imnet_feature_dist_lambda'] else None
        self.source_branch = Branch('source', self._joining('source'))
        self.target_branches = [
            Branch(name, self._joining(name), f'{name}.') for name in TARGET_BRANCHES
            if self._joining(name) or (name == 'mix' and self.teacher is not None)
        ]
        self.strong_augment = StrongAugment(settings['color_jitter_strength'], settings['color_jitter_probability'],
                                            settings['blur'])

    def _joining(self, branch: str) -> list[Objective]:
        return [objective for objective in self.objectives if objective.branch == branch]

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        defaults = dict(KEYS)
        for objective_class in OBJECTIVES.module_dict.values():
            defaults.update(objective_class.keys)
        return defaults

    @classmethod
    def config_keys(cls) -> frozenset[str]:
        return frozenset(cls._defaults()) | set(PLANNED)

    @classmethod
    def _settings(cls, uda: dict[str, Any]) -> dict[str, Any]:
        """All keys with their values, missing ones at the inactive default."""
        for name in sorted(set(uda) - cls.config_keys()):
            raise TypeError(f'uda: {cls.__name__} has no key {name!r}: {nearest(name, cls.config_keys())}')
        defaults = cls._defaults()
        for name, inactive in PLANNED.items():
            if name not in defaults and uda.get(name, inactive) != inactive:
                raise NotImplementedError(f'uda.{name}={uda[name]!r}: this method is not implemented yet; '
                                          f'remove the key to train without it')
        settings = {name: uda.get(name, default) for name, default in defaults.items()}
        if settings['mix'] != 'class':
            raise ValueError(f"uda.mix={settings['mix']!r}: only 'class' (ClassMix) exists")
        if not 0 <= settings['alpha'] <= 1:
            raise ValueError(f"uda.alpha={settings['alpha']}: the EMA decay lies in [0, 1]")
        return settings

    def _reference(self, model: dict[str, Any]) -> nn.Module:
        """The frozen ImageNet network of the feature distance."""
        backbone = model['backbone']
        named = model.get('pretrained') or any(backbone.get(k) for k in ('pretrained', 'init_cfg', 'checkpoint_path'))
        if not (named or self.settings['imnet_feature_dist_allow_random']):
            raise ValueError(
                'uda.imnet_feature_dist_lambda > 0 compares the encoder with its ImageNet weights, but the model has '
                'none: set model.pretrained (e.g. pretrained/mit_b5.pth), or uda.imnet_feature_dist_lambda=0')
        return build_segmentor(model).requires_grad_(False).eval()

    def init_weights(self) -> None:
        """Load the pretrained weights once and copy them to the teacher and the frozen network."""
        super().init_weights()
        for copy in (self.imnet_model, self.teacher and self.ema_model):
            if copy is not None:
                copy.load_state_dict(self.model.state_dict())

    def networks(self) -> dict[str, nn.Module]:
        return super().networks() if self.teacher is None else {'student': self.model, 'teacher': self.ema_model}

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration: teacher update, source branch, pseudo labels, target branches, optimizer step."""
        step = self.begin(batch, optim_wrapper)
        optim_wrapper.zero_grad()
        with torch.no_grad():  # teachers follow before the step, as the papers do
            if self.teacher is not None:
                self.teacher.update(self.model, self.iteration)
            for objective in self.objectives:
                objective.on_start(step)
        features, decoded = self.run_branch(self.source_branch, step.source, step, optim_wrapper)
        with torch.no_grad():
            for objective in self.objectives:
                objective.on_source(step, features, decoded)
            if self.teacher is not None:
                step.pseudo = self.pseudo_labels(step)
                step.mix_mask, step.mix = self.mixed(step)
        for branch in self.target_branches:
            with torch.no_grad():
                view = step.mix if branch.name == 'mix' else branch.objectives[0].view(step)
            self.run_branch(branch, view, step, optim_wrapper)
        optim_wrapper.step()
        if self.capture:
            self.captured = self.panels(step)
        self.iteration += 1
        return step.logs

    def begin(self, batch: dict[str, Any], optim_wrapper: Any) -> StepState:
        """Bring the batch to the device, normalised, and open the state of this iteration."""
        device = next(self.model.parameters()).device
        mean, std = image_constants(batch['img_metas'][0]['img_norm_cfg'], device)
        data = prepare(batch, device)
        self._check(data)
        return StepState(
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

    def _check(self, data: dict[str, Any]) -> None:
        """Refuse batches that cannot be mixed or whose margins are cut twice."""
        if self.teacher is None:
            return
        source, target = tuple(data['img'].shape), tuple(data['target_img'].shape)
        if source != target:
            raise ValueError(f'source crops {source} and target crops {target} are mixed pixel by pixel: '
                             'let both pipelines crop to the same size')
        margins = self.settings['pseudo_weight_ignore_top'] or self.settings['pseudo_weight_ignore_bottom']
        if margins and 'valid_pseudo_mask' in data:
            raise ValueError('data.train.target.crop_pseudo_margins and uda.pseudo_weight_ignore_top/bottom both cut '
                             'the margins of pseudo labels: keep one of them')

    def pseudo_labels(self, step: StepState) -> PseudoLabels:
        """Teacher forward on the target images, refiners in config order, then label, confidence and weight."""
        with step.autocast():
            decoded = self.ema_model.decode_image(step.target_img)
        probabilities = self.ema_model.upsampled(decoded).softmax(dim=1)
        for objective in self.objectives:
            probabilities = objective.refine(step, probabilities, decoded)
        pseudo = make_pseudo_labels(probabilities, self.settings['pseudo_threshold'],
                                    self.settings['pseudo_weight_ignore_top'],
                                    self.settings['pseudo_weight_ignore_bottom'], step.valid)
        step.logs['pseudo_weight'] = pseudo.confident
        return pseudo

    def mixed(self, step: StepState) -> tuple[Tensor, View]:
        """ClassMix of source and target, strongly augmented, with mixed labels and weights."""
        source, pseudo = step.source, step.pseudo
        table = draw_class_table(source.label, step.classes, step.draws.numpy('class choice'))
        mask = class_mask(source.label, table)
        img = self.strong_augment(mix(mask, source.img, step.target_img), step.mean, step.std, step.draws, 'mix')
        weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        return mask, View(img, mix(mask, source.label, pseudo.label), weight)

    def panels(self, step: StepState) -> list[Panel]:
        """What the training panels show of this step."""
        panels = [Panel('Source', 'image', step.source.img), Panel('Source label', 'label', step.source.label)]
        if self.teacher is not None:
            panels += [
                Panel('Target', 'image', step.target_img),
                Panel('Pseudo label', 'label', step.pseudo.label),
                Panel('Mixed', 'image', step.mix.img),
                Panel('Mixed label', 'label', step.mix.label),
                Panel('Source pixels', 'mask', step.mix_mask.squeeze(1)),
                Panel('Weight', 'weight', step.mix.weight),
            ]
        for name in [name for name in step.seen if name not in ('source', 'mix')]:
            view, title = step.seen[name], name.capitalize()
            panels += [Panel(title, 'image', view.img), Panel(f'{title} label', 'label', view.label)]
        if 'cells' in step.notes:
            panels += [Panel('Label cells', 'label', step.notes['cells']),
                       Panel('Compared cells', 'mask', step.notes['compared'])]
        return panels
