"""DACS self-training, the host of DAFormer, HRDA, MIC, MRM, EBDA and DIDA: THE training step."""
from __future__ import annotations

from operator import attrgetter, itemgetter
from typing import Any

import torch
from torch import Tensor

from mmseg.models.builder import build_segmentor
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.uda.base import UDADecorator
from mmseg.models.uda.class_mix import class_mask, draw_class_table, mix
from mmseg.models.uda.pseudo_label import PseudoLabels, make_pseudo_labels
from mmseg.models.uda.step_state import StepState, View
from mmseg.models.uda.strong_augment import StrongAugment
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import UDA
from mmseg.utils.kinds import one_of
from mmseg.visualization.panels import Panel


@UDA.register_module()
class DACS(UDADecorator):
    """Self-training with ClassMix and an EMA teacher; the ``uda`` keys switch objectives on (DAFormer section 3).

    Args:
        model: config of the segmentor.
        max_iters: length of the training in iterations.
        **uda: the keys of this host, of all hosts and of the registered objectives.

    Keys:
        source_only: train on the source alone: no teacher, no mixing.
        mix: ClassMix, the only kind.

    Raises:
        TypeError: for an unknown key.
        ValueError: for a value that cannot be.
    """
    keys = dict(
        source_only=False,
        mix='class')
    key_kinds = dict(mix=one_of(['class']))
    why_no_teacher = 'uda.source_only=True leaves out: remove one of the two'

    def __init__(self, model: dict[str, Any], max_iters: int, **uda: Any) -> None:
        super().__init__(model, max_iters, **uda)
        settings = self.settings
        self.uses_target = not settings['source_only']
        branches = dict(source=('', attrgetter('source')))
        if self.uses_target:
            self.ema_model = build_segmentor(model)
            self.teacher = EMATeacher(self.ema_model, settings['alpha'])
            self.pinned.append('ema_model')
            branches['mix'] = 'mix.', attrgetter('mix')
        self.add_objectives()
        self.open_branches(**branches)
        self.strong_augment = StrongAugment(settings['color_jitter_strength'], settings['color_jitter_probability'],
                                            settings['blur'])

    @classmethod
    def check_settings(cls, uda: dict[str, Any]) -> dict[str, Any]:
        """Besides, no mixing but ClassMix."""
        settings = super().check_settings(uda)
        if settings['mix'] != 'class':
            raise ValueError(f"uda.mix={settings['mix']!r}: only 'class' (ClassMix) exists")
        return settings

    def init_weights(self) -> None:
        """Load the pretrained weights once and copy them to the teacher."""
        super().init_weights()
        if self.teacher is not None:
            self.ema_model.load_state_dict(self.model.state_dict())

    def networks(self) -> dict[str, BaseSegmentor]:
        """The student and, unless the source is all, the teacher."""
        return super().networks() if self.teacher is None else {'student': self.model, 'teacher': self.ema_model}

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> Losses:
        """One iteration: teacher update, source branch, pseudo labels, target branches, optimizer step."""
        step = self.begin(batch, optim_wrapper)
        if self.teacher is not None and self.part == 0:
            self.teacher.update(self.model, self.iteration)  # before the step, as the papers do
        self.run_source(step, optim_wrapper)
        if self.teacher is not None:
            step.pseudo = self.pseudo_labels(step)
            step.mix_mask, step.mix = self.mixed(step)
        self.run_others(step, optim_wrapper)
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
        trust: tuple[float | None, int, int] = itemgetter(
            'pseudo_threshold', 'pseudo_weight_ignore_top', 'pseudo_weight_ignore_bottom')(self.settings)
        with step.autocast():
            decoded = self.ema_model.decode_image(step.target.img)
        probabilities = self.ema_model.upsampled(decoded).softmax(dim=1)
        step.measure('pseudo', probabilities, *trust)
        for objective in self.objectives:
            refined = objective.refine(step, probabilities, decoded)
            if refined is not probabilities:
                probabilities = refined
                step.measure(f'refined.{objective.name}', probabilities, *trust)
        pseudo = make_pseudo_labels(probabilities, *trust, step.valid)
        if self.capture and step.meters is not None:
            step.notes += step.meters.panels(probabilities, trust[0], pseudo.valid)
        step.logs |= Losses(logged=dict(pseudo_weight=pseudo.confident))
        return pseudo

    @torch.no_grad()
    def mixed(self, step: StepState) -> tuple[Tensor, View]:
        """ClassMix of source and target, strongly augmented, with mixed labels and weights."""
        source, label, pseudo = step.source.img, step.source.required_label, step.pseudo
        table = draw_class_table(label, step.classes, step.draws.numpy('class choice'))
        mask = class_mask(label, table)
        img = self.strong_augment(mix(mask, source, step.target.img), step.mean, step.std, step.draws, 'mix')
        weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        return mask, View(img, mix(mask, label, pseudo.label), weight)

    def panels(self, step: StepState) -> list[Panel]:
        """What the training panels show of this step."""
        panels = super().panels(step)
        if self.teacher is not None:
            target = [] if 'target' in step.seen else [Panel('Target', 'image', step.target.img)]
            panels[2:2] = [  # behind the source image and its label
                *target, Panel('Pseudo label', 'label', step.pseudo.label),
                Panel('Source pixels', 'mask', step.mix_mask.squeeze(1))]
            if step.mix.weight is not None:
                panels.append(Panel('Weight', 'weight', step.mix.weight))
        return panels
