"""DACS self-training, the host of DAFormer, HRDA, MIC, MRM, EBDA and DIDA: THE training step."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_segmentor
from mmseg.models.uda.base import Branch, UDADecorator
from mmseg.models.uda.class_mix import class_mask, draw_class_table, mix
from mmseg.models.uda.pseudo_label import PseudoLabels, make_pseudo_labels
from mmseg.models.uda.step_state import StepState, View
from mmseg.models.uda.strong_augment import StrongAugment
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import UDA
from mmseg.visualization.panels import Panel

TARGET_BRANCHES = ('mix', 'masked', 'target')


@UDA.register_module()
class DACS(UDADecorator):
    """Self-training with ClassMix and an EMA teacher; the ``uda`` keys switch objectives on (DAFormer section 3).

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        **uda: the keys of this host, of all hosts and of the registered objectives.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be, or a feature distance without pretrained weights.
    """
    keys = dict(
        source_only=False,  # train on the source alone: no teacher, no mixing
        mix='class')
    pinned = ('ema_model', 'imnet_model')
    branches = ('source', *TARGET_BRANCHES)

    def __init__(self, model: dict[str, Any], max_iters: int, **uda: Any) -> None:
        super().__init__(model, max_iters, **uda)
        settings = self.settings
        if not settings['source_only']:
            self.ema_model = build_segmentor(model)
            self.teacher = EMATeacher(self.ema_model, settings['alpha'])
        self.add_objectives()
        if settings['imnet_feature_dist_lambda']:
            self.imnet_model = self._reference(model)
        self.source_branch = Branch('source', self.joining('source'))
        self.target_branches = self.open_branches(*TARGET_BRANCHES, always='mix' if self.teacher else None)
        self.strong_augment = StrongAugment(settings['color_jitter_strength'], settings['color_jitter_probability'],
                                            settings['blur'])

    @classmethod
    def check_settings(cls, uda: dict[str, Any]) -> dict[str, Any]:
        settings = super().check_settings(uda)
        if settings['mix'] != 'class':
            raise ValueError(f"uda.mix={settings['mix']!r}: only 'class' (ClassMix) exists")
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
        if self.teacher is not None and self.part == 0:
            self.teacher.update(self.model, self.iteration)  # before the step, as the papers do
        self.run_source(self.source_branch, step, optim_wrapper)
        if self.teacher is not None:
            step.pseudo = self.pseudo_labels(step)
            step.mix_mask, step.mix = self.mixed(step)
        for branch in self.target_branches:
            view = step.mix if branch.name == 'mix' else branch.view(step)
            self.run_branch(branch, view, step, optim_wrapper)
        optim_wrapper.step()
        return self.end(step)

    def check_batch(self, data: dict[str, Any]) -> None:
        """Refuse batches that cannot be mixed or whose margins are cut twice."""
        if self.teacher is None:
            return
        super().check_batch(data)
        source, target = tuple(data['img'].shape), tuple(data['target_img'].shape)
        if source != target:
            raise ValueError(f'source crops {source} and target crops {target} are mixed pixel by pixel: '
                             'let both pipelines crop to the same size')

    @torch.no_grad()
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

    @torch.no_grad()
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
        panels = super().panels(step)
        if self.teacher is not None:
            target = [] if 'target' in step.seen else [Panel('Target', 'image', step.target_img)]
            panels[2:2] = [  # behind the source image and its label
                *target, Panel('Pseudo label', 'label', step.pseudo.label),
                Panel('Source pixels', 'mask', step.mix_mask.squeeze(1))]
            panels.append(Panel('Weight', 'weight', step.mix.weight))
        return panels
