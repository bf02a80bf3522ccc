"""Masked image consistency (MIC, section 3): predict pseudo labels from images of which most blocks are hidden."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.uda.batch_norms import BATCH_NORMS, statistics
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.pseudo_label import PseudoLabels, make_pseudo_labels
from mmseg.models.uda.step_state import StepState, View
from mmseg.models.uda.strong_augment import StrongAugment
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import OBJECTIVES
from mmseg.utils.draws import Draws
from mmseg.utils.kinds import COUNT, NONE, SHARE, Section, one_of
from mmseg.utils.names import nearest

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator


@dataclass(frozen=True)
class MaskMode:
    """Which images are masked, and whether their colours are augmented first."""
    source: bool
    target: bool
    augment: bool


MODES = dict(
    separate=MaskMode(source=True, target=True, augment=False),
    separatesrc=MaskMode(source=True, target=False, augment=False),
    separatetrg=MaskMode(source=False, target=True, augment=False),
    separateaug=MaskMode(source=True, target=True, augment=True),
    separatesrcaug=MaskMode(source=True, target=False, augment=True),
    separatetrgaug=MaskMode(source=False, target=True, augment=True))

MAIN_LOSSES = ('decode.loss_seg', 'decode.pam_cam.loss_seg')


def mask_grid_size(size: Sequence[int], block: int) -> tuple[int, int]:
    """(rows, columns) of blocks in an image of ``size`` (H, W): the nearest whole numbers, at least 1."""
    return max(1, round(size[0] / block)), max(1, round(size[1] / block))


def draw_mask_grid(batch: int, grid: tuple[int, int], ratio: float, draws: Draws, device: torch.device) -> Tensor:
    """Which blocks stay visible, bool [B, 1, rows, columns]; each is hidden with probability ``ratio``."""
    generator = draws.torch('block mask', device)
    return torch.rand(batch, 1, *grid, generator=generator, device=device) > ratio


def apply_mask(img: Tensor, keep: Tensor) -> Tensor:
    """Hide blocks of images [B, 3, H, W], setting the mean colour 0, where ``keep`` [B, 1, rows, columns] is False."""
    return img * F.interpolate(keep.to(img.dtype), img.shape[-2:], mode='nearest')


class PrivateTeacher(nn.Module):
    """A teacher of MIC's own, with its own decay and threshold; it makes pseudo labels from its own forward.

    Args:
        student: the segmentor that it follows.
        alpha: EMA decay; 0 copies the student in every iteration.
        threshold: confidence threshold; None trusts every pixel.
    """

    def __init__(self, student: BaseSegmentor, alpha: float, threshold: float | None) -> None:
        super().__init__()
        self.ema_model = copy.deepcopy(student)
        self.follow = EMATeacher(self.ema_model, alpha)
        self.threshold = threshold

    def train(self, mode: bool = True) -> PrivateTeacher:
        """Keep the mode that :class:`EMATeacher` has fixed."""
        self.training = mode
        return self

    def pseudo_labels(self, step: StepState, margins: tuple[int, int]) -> PseudoLabels:
        """Pseudo labels of the target images; ``margins``: rows at the top and bottom that get weight 0."""
        with step.autocast():
            logits = self.ema_model.encode_decode(step.target.img)
        probabilities = logits.softmax(dim=1)
        step.measure('mic.pseudo', probabilities, self.threshold, *margins)
        return make_pseudo_labels(probabilities, self.threshold, *margins, step.valid)


@OBJECTIVES.register_module()
class MaskedConsistency(Objective):
    """Cross-entropy of masked images with (pseudo) labels; it opens the 'masked' branch.

    Args:
        mode: which images are masked.
        ratio: share of hidden blocks, in [0, 1].
        block: side of a block in pixels.
        weight: factor of the fused prediction's loss (not of HRDA's further losses, as published).
        augment: colour jiggle and blur for the modes that ask for them.
        margins: rows of the crop without pseudo labels, at the top and at the bottom.
        teacher: None shares the host's pseudo labels.
        aux_bn: whether masked images move the student's running statistics: 'update' or 'frozen'.

    Keys:
        mask_mode: which images are masked: 'separate' (the first half of the batch of source images, the rest of target
            images), 'separatesrc', 'separatetrg'; with 'aug' behind it their colours are jittered and blurred first.
            None: no masking. With ``source_only`` only source images are.
        mask_generator: share of hidden blocks, and their side in pixels: 64 at full, 32 at half resolution.
        mask_lambda: weight of the loss of masked images; above 0 if ``mask_mode`` is set.
        mask_alpha: decay of a teacher of MIC's own; 'same': the host's teacher serves.
        mask_pseudo_threshold: its threshold; None trusts every pixel. Either one given makes a teacher of its own.
        mask_aux_bn: whether masked images move the running statistics of the student's batch norms: 'update', as
            published, or 'frozen', for encoders with batch norms. They normalise with the batch either way.
    """
    name = 'mic'
    opens = 'masked'
    networks = ('mic.teacher.ema_model', )
    keys = dict(mask_mode=None, mask_alpha='same', mask_pseudo_threshold='same', mask_lambda=0, mask_generator=None,
                mask_aux_bn='update')
    key_kinds = dict(
        mask_mode=one_of(MODES) | NONE, mask_alpha=SHARE | one_of(['same']),
        mask_pseudo_threshold=SHARE | one_of(['same']) | NONE, mask_aux_bn=one_of(BATCH_NORMS),
        mask_generator=Section(dict(type=one_of(['block']), mask_ratio=SHARE, mask_block_size=COUNT)) | NONE)

    def __init__(self, mode: MaskMode, ratio: float, block: int, weight: float, augment: StrongAugment,
                 margins: tuple[int, int], teacher: PrivateTeacher | None, aux_bn: str) -> None:
        super().__init__()
        self.mode, self.ratio, self.block, self.weight = mode, ratio, block, weight
        self.augment, self.margins = augment, margins
        self.teacher, self.aux_bn = teacher, aux_bn

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> MaskedConsistency | None:
        """Active with a mode; with a teacher of its own where the host's does not do."""
        if uda['mask_mode'] is None:
            return None
        if uda['mask_mode'] not in MODES:
            raise ValueError(f"uda.mask_mode={uda['mask_mode']!r}: {nearest(uda['mask_mode'], MODES)}; "
                             f'known are {", ".join(MODES)}')
        mode = MODES[uda['mask_mode']]
        if not host.uses_target:
            mode = MaskMode(source=True, target=False, augment=mode.augment)
        cls._check(uda)
        ratio, block = cls._generator(uda['mask_generator'])
        alpha, threshold = uda['mask_alpha'], uda['mask_pseudo_threshold']
        teacher = None
        if mode.target and (host.teacher is None or alpha != 'same' or threshold != 'same'):
            teacher = PrivateTeacher(host.model, uda['alpha'] if alpha == 'same' else alpha,
                                     uda['pseudo_threshold'] if threshold == 'same' else threshold)
        augment = StrongAugment(uda['color_jitter_strength'], uda['color_jitter_probability'], blur=True)
        margins = uda['pseudo_weight_ignore_top'], uda['pseudo_weight_ignore_bottom']
        return cls(mode, ratio, block, uda['mask_lambda'], augment, margins, teacher, uda['mask_aux_bn'])

    @staticmethod
    def _check(uda: dict[str, Any]) -> None:
        """Refuse numbers that cannot be, and a factor that would switch the method off in silence."""
        for key, none in (('mask_alpha', False), ('mask_pseudo_threshold', True)):
            value = uda[key]
            if value == 'same' or (none and value is None):
                continue
            if isinstance(value, str) or value is None or not 0 <= value <= 1:
                raise ValueError(f"uda.{key}={value!r}: use 'same' for the host's, or a number in [0, 1]")
        if not uda['mask_lambda'] > 0:
            raise ValueError(f"uda.mask_lambda={uda['mask_lambda']} takes away the loss of masked images: use 1, as "
                             'published, or uda.mask_mode=None')

    @staticmethod
    def _generator(cfg: dict[str, Any] | None) -> tuple[float, int]:
        """Ratio and block side of ``mask_generator``."""
        cfg = dict(cfg or {})
        if cfg.pop('type', None) != 'block' or cfg.keys() != {'mask_ratio', 'mask_block_size'}:
            raise ValueError("uda.mask_generator must be dict(type='block', mask_ratio=0.7, mask_block_size=64) with "
                             'values of your own: MIC uses blocks of 64 pixels at full, 32 at half resolution')
        ratio, block = cfg['mask_ratio'], cfg['mask_block_size']
        if not 0 <= ratio <= 1 or block < 1:
            raise ValueError(f'uda.mask_generator: mask_ratio {ratio} lies in [0, 1], mask_block_size {block} is a '
                             'number of pixels')
        return ratio, block

    def on_start(self, step: StepState) -> None:
        """Let the private teacher follow the student."""
        if self.teacher is not None:
            self.teacher.follow.update(step.student, step.draws.iteration)

    def view(self, step: StepState) -> View:
        """The masked images with their labels and weights."""
        chosen = self.chosen(step)
        img = chosen.img
        if self.mode.augment:
            img = self.augment(img, step.mean, step.std, step.draws, 'masked')
        keep = draw_mask_grid(len(img), mask_grid_size(img.shape[-2:], self.block), self.ratio, step.draws, img.device)
        return chosen._replace(img=apply_mask(img, keep))

    def chosen(self, step: StepState) -> View:
        """The images to mask: of one domain, or the first ones of both."""
        if not self.mode.target:
            return step.source
        pseudo = self.teacher.pseudo_labels(step, self.margins) if self.teacher is not None else step.pseudo
        target = View(step.target.img, pseudo.label, pseudo.weight)
        if not self.mode.source:
            return target
        if step.source.img.shape != target.img.shape:
            raise ValueError(f'source crops {tuple(step.source.img.shape)} and target crops {tuple(target.img.shape)} '
                             'are masked in one batch: let both pipelines crop to the same size, or mask one domain')
        batch = len(target.img)
        # an odd batch has one source image more; a batch of 1 takes turns
        first = (batch + 1) // 2 if batch > 1 else 1 - (step.draws.iteration + step.draws.part) % 2
        pairs = ((step.source.img, target.img), (step.source.required_label, pseudo.label),
                 (torch.ones_like(pseudo.weight), pseudo.weight))
        return View(*(torch.cat([source[:first], target[:batch - first]]) for source, target in pairs))

    def forwards(self, student: BaseSegmentor) -> AbstractContextManager:
        """Leave running statistics alone, if they are frozen."""
        return statistics(student, self.aux_bn)

    def own_losses(self, losses: Losses) -> Losses:
        """Scale the loss of the (fused) prediction; heads with several predictions have other names for theirs."""
        return losses.scaled(self.weight, MAIN_LOSSES)
