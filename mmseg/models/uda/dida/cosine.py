"""Our version of DIDA (preset 'cosine', formerly 'dida'), at the resolution of the embedding.

Equations are numbered as in docs/methods.md, which says where they and the defaults come from. They are no
quotation: the text of the paper was not at hand.
"""
from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida.base import InstanceObjective, check_count, embedding_of, preset
from mmseg.models.uda.dida.memory_bank import MemoryBank
from mmseg.models.uda.dida.prototypes import boundary_pixels, class_means
from mmseg.models.uda.dida.relation import calibrate, cosine_similarities, gather, relation_loss, scatter
from mmseg.models.uda.step_state import Item, StepState, View
from mmseg.models.uda.teacher import EMATeacher
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import COUNT, NONE, POSITIVE, one_of
from mmseg.utils.labels import IGNORED
from mmseg.utils.names import nearest

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator

EPS = 1e-6  # least mass of classes with rows for a cell to count
CHOICES = dict(update=('ema', 'fifo'), select=('mean', 'boundary', 'boundary_mean'), region=('all', 'target'))


class Target(NamedTuple):
    """What the student's relation should be.

    Attributes:
        relation: distribution over the rows, [B, K, h, w].
        defined: float [B, h, w], 1 where it is one.
    """
    relation: Tensor
    defined: Tensor


TARGET: Item[Target] = Item('the relation of the target images', 'it comes with the pseudo labels, in phase 3')


class Projection(nn.Module):
    """A 1x1 convolution and a layer norm over the channels, for networks whose embedding is the encoder's map."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, h, w] to [B, channels, h, w]."""
        return self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@OBJECTIVES.register_module()
@preset('cosine', 'dida')  # the latter in older configs, from when it passed for the paper's own
class InstanceBank(InstanceObjective):
    """The similarities of a mixed image (student) to the bank should be those of the target image (teacher).

    Class scores weigh the teacher's similarities (scatter), and these smooth its pseudo labels (gather), which all
    later branches then use.

    Args:
        num_classes: number of classes C.
        channels: of the embedding.
        alpha: EMA decay of the teacher's copy of the projection, in [0, 1].
        size: rows K of the bank, at least 1.
        classes: class ids with rows, rarest first; None for all. Leave out those that the source does not have.
        weight: factor of the loss.
        tau_teacher, tau_student: temperatures of the similarities, above 0.
        smoothing: share of the class scores in the refined pseudo labels, the rest is gathered; 1 leaves them alone.
            Below the host's pseudo_threshold even certain class scores are not confident unless the bank agrees.
        calibrate: whether class scores weigh the teacher's similarities.
        update: how rows are renewed: 'ema' moves all rows of a class by ``1 - momentum``, 'fifo' replaces the oldest.
        momentum: of 'ema', in [0, 1].
        interval: iterations between two renewals, at least 1; empty rows are filled in every one.
        select: source pixels that make the prototype of a class: their 'mean', only those at class boundaries
            ('boundary'), or the average of the two ('boundary_mean').
        region: cells that count: those that show the 'target' alone and are not in the margins, or 'all'.
        warmup: iterations before the bank is filled. The loss starts when all rows are.
        projection: channels of a learned projection of the embedding; None takes the embedding itself.
        bank: folder of a bank to start from instead of an empty one; see
            :func:`read_bank <mmseg.models.uda.dida.memory_bank.read_bank>`.

    Raises:
        FileNotFoundError: if there is no such bank.
        ValueError: for a value that cannot be.
    """
    OPTIONS = dict(
        **{name: one_of(names) for name, names in CHOICES.items()},
        projection=COUNT | NONE, **dict.fromkeys(('tau_teacher', 'tau_student'), POSITIVE))

    def __init__(self, num_classes: int, channels: int, alpha: float, size: int = 300,
                 classes: Sequence[int] | None = None, weight: float = 0.5, tau_teacher: float = 0.1,
                 tau_student: float = 0.1, smoothing: float = 1.0, calibrate: bool = True, update: str = 'ema',
                 momentum: float = 0.999, interval: int = 50, select: str = 'mean', region: str = 'target',
                 warmup: int = 1500, projection: int | None = None, bank: str | None = None) -> None:
        super().__init__(weight, smoothing, calibrate, momentum, interval)
        for key, value in dict(update=update, select=select, region=region).items():
            if value not in CHOICES[key]:
                raise ValueError(f'{key}={value!r}: {nearest(value, CHOICES[key])}')
        if min(tau_teacher, tau_student) <= 0:
            raise ValueError(f'tau_teacher={tau_teacher} and tau_student={tau_student} must be positive')
        check_count('size', size)
        self.tau_teacher, self.tau_student = tau_teacher, tau_student
        self.update, self.select, self.region, self.warmup = update, select, region, warmup
        self.projection_head = self.ema_projection = None
        if projection is not None:
            # 'head' in the name: new weights learn at the rate that configs give to heads
            self.projection_head = Projection(channels, projection)
            self.ema_projection = copy.deepcopy(self.projection_head)
            self.follow = EMATeacher(self.ema_projection, alpha)
        dim = projection or channels
        self.bank = (MemoryBank.empty(size, num_classes, dim, classes) if bank is None else
                     MemoryBank.read(bank, num_classes, dim))

    @classmethod
    def build(cls, options: Any, uda: dict[str, Any], host: UDADecorator, **context: Any) -> InstanceObjective:
        """Build it; warns if its labels may never be confident."""
        made = super().build(options, uda, host, alpha=uda['alpha'], **context)
        warn_of_unsure_labels(made.smoothing, uda['pseudo_threshold'])
        return made

    # phases of a training step

    def on_start(self, step: StepState) -> None:
        """Let the teacher's projection follow the student's."""
        if self.projection_head is not None:
            self.follow.update(self.projection_head, step.draws.iteration)

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Fill and renew the bank with the class prototypes of the source images."""
        if self.warming_up(step):
            return
        prototypes, present = self.prototypes(projected(self.projection_head, decoded), step.source.required_label)
        momentum = self.momentum if self.update == 'ema' else None
        self.bank.update(prototypes, present, self.renews(step), momentum)

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Gathered pseudo labels, equation (3); keeps the calibrated relation of the target image, (1) and (2)."""
        if self.warming_up(step):
            return probabilities
        embedding = projected(self.ema_projection, decoded)
        relation = (cosine_similarities(embedding, self.bank.feature) / self.tau_teacher).softmax(dim=1)
        step.items[TARGET] = self.target(step, relation, decoded)
        if self.smoothing == 1:
            return probabilities
        gathered = resize(gather(relation, self.bank.membership), probabilities.shape[-2:],
                          align_corners=step.student.align_corners)
        share = torch.where(self.bank.full, self.smoothing, 1.)  # an incomplete bank changes nothing
        return gathered.mul_(1 - share).addcmul_(probabilities, share)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``instance.loss_in``, equation (4), 0 until the bank is full; ``instance.bank_filled``, the share of rows."""
        if self.warming_up(step):
            loss = torch.zeros((), device=view.img.device)
        else:
            loss = self.weight * self.instance_loss(step, decoded) * self.bank.full
        return Losses(trained={'instance.loss_in': loss},
                      logged={'instance.bank_filled': self.bank.filled.float().mean()})

    # parts of them

    def warming_up(self, step: StepState) -> bool:
        """Whether nothing happens yet."""
        return step.draws.iteration < self.warmup

    def prototypes(self, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Prototype [C, D] of each class in the batches of all processes, and which classes have one, bool [C].

        Args:
            embedding: [B, D, h, w].
            label: int64 [B, H, W], 255 is ignored.
        """
        size, num_classes = embedding.shape[-2:], self.bank.num_classes
        means, pixels = class_means(embedding, class_counts(label, size, num_classes)[..., :-1])
        if self.select != 'mean':
            boundary = torch.where(boundary_pixels(label), label, IGNORED)
            selected, found = class_means(embedding, class_counts(boundary, size, num_classes)[..., :-1])
            if self.select == 'boundary_mean':
                selected = (selected + means) / 2
            means = torch.where(found[:, None] > 0, selected, means)  # a class may have no boundary
        return means, pixels > 0

    def target(self, step: StepState, relation: Tensor, decoded: Decoded) -> Target:
        """What the student's relation should be, by equation (2).

        Args:
            relation: of the teacher, [B, K, h, w].
            decoded: what the teacher says of the target images.
        """
        if not self.calibrate:
            return Target(relation, torch.ones_like(relation[:, 0]))
        logits = resize(decoded.logits.float(), relation.shape[-2:], align_corners=step.student.align_corners)
        calibrated, mass = calibrate(relation, scatter(logits.softmax(dim=1), self.bank.label), EPS)
        return Target(calibrated, (mass > EPS).float())

    def instance_loss(self, step: StepState, decoded: Decoded) -> Tensor:
        """Equation (4) for what the student says of the mixed images, without its weight."""
        target = step.items[TARGET]
        embedding = projected(self.projection_head, decoded)
        scores = cosine_similarities(embedding, self.bank.feature).float() / self.tau_student
        return relation_loss(scores, target.relation, target.defined * self.cells(step, scores.shape[-2:]))

    def cells(self, step: StepState, size: torch.Size) -> Tensor:
        """Float [B, h, w], 1 for cells that count: with region 'target', those without a pasted or invalid pixel."""
        if self.region == 'all':
            return torch.ones(len(step.mix_mask), *size, device=step.mix_mask.device)
        left_out = step.mix_mask | (step.pseudo.valid.unsqueeze(1) == 0)
        return (F.adaptive_max_pool2d(left_out.float(), size) == 0).float().squeeze(1)


def projected(projection: Projection | None, decoded: Decoded) -> Tensor:
    """The embedding that is compared with the bank, fp32 [B, D, h, w]."""
    embedding = embedding_of(decoded)
    return embedding if projection is None else projection(embedding).float()


def warn_of_unsure_labels(smoothing: float, threshold: float) -> None:
    """Warn if class scores alone, however certain, make no pixel confident: the target losses may vanish."""
    if smoothing < threshold:
        least = (threshold - smoothing) / (1 - smoothing)
        warnings.warn(f'uda.instance_bank.smoothing={smoothing} is below uda.pseudo_threshold={threshold}: even where '
                      f'class scores are certain, a pixel counts as confident only if the bank gives its class '
                      f'{least:.2f}. If pseudo_weight vanishes in the log, lower pseudo_threshold', stacklevel=2)
