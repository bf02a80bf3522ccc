"""DIDA as published: what its authors' program computes (preset 'dida_code').

All of it happens at image resolution, since a logarithm is taken of enlarged similarities. What is linear is computed
at the resolution of the embedding instead; the rest goes through the image in strips of rows.
"""
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.dida.base import InstanceObjective, check_count, embedding_of, preset
from mmseg.models.uda.dida.first_pass import fill
from mmseg.models.uda.dida.memory_bank import MemoryBank
from mmseg.models.uda.dida.prototypes import means_of_sums
from mmseg.models.uda.dida.relation import gather, scatter
from mmseg.models.uda.step_state import Item, StepState, View
from mmseg.models.uda.teacher import EMATeacher

STRIP_BYTES = 64 * 2**20  # of one map of similarities
TEACHER: Item[Tensor] = Item('the similarities of the target images', 'they come with the pseudo labels, in phase 3')


def interpolation(cells: int, pixels: int, align_corners: bool, device: torch.device) -> Tensor:
    """Matrix [cells, pixels] of linear interpolation along one axis."""
    points = torch.eye(cells, device=device).unsqueeze(0)
    return F.interpolate(points, pixels, mode='linear', align_corners=align_corners)[0]


def axes(maps: Tensor, size: Sequence[int], align_corners: bool) -> tuple[Tensor, Tensor]:
    """Matrices [h, H] and [w, W] that enlarge maps [..., h, w] to ``size`` (H, W)."""
    down, across = (interpolation(cells, pixels, align_corners, maps.device)
                    for cells, pixels in zip(maps.shape[-2:], size))
    return down, across


def interpolate(maps: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Bilinear interpolation [B, N, r, W] of maps [B, N, h, w] by the matrices [h, r] and [w, W] of the two axes."""
    return torch.einsum('bnhw,hr->bnrw', maps, down) @ across


def normalised(similarities: Tensor) -> Tensor:
    """Similarities [B, K, r, W] divided by their sum over the rows of the bank."""
    return similarities / similarities.sum(dim=1, keepdim=True)


def strip_target(similarities: Tensor, factor: Tensor | None) -> Tensor:
    """What the student's normalised similarities should be, in a strip.

    Args:
        similarities: of the teacher, [B, K, r, W].
        factor: what calibrates them, of the same shape, or None.
    """
    return normalised(similarities if factor is None else similarities * factor)


def cross_entropy(relation: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of normalised similarities with a target, summed over pixels; both [B, K, r, W]."""
    return -(target * (relation + 1e-10).log()).sum()


def strips(batch: int, rows: int, size: Sequence[int]) -> list[slice]:
    """Strips of an image of ``size`` (H, W) whose maps [batch, rows, r, W] take less than 64 MiB; r is at least 1."""
    step = max(1, (STRIP_BYTES - 1) // (4 * batch * rows * size[1]))
    return [slice(start, min(start + step, size[0])) for start in range(0, size[0], step)]


@preset('dida_code')
class PublishedInstanceBank(InstanceObjective):
    """The published program's active path, oddities included.

    Similarities are plain products of features, divided by their sum. The raw class scores of the student for the
    mixed image, which may be negative, take the place of the teacher's probabilities in the calibration, and all pixels
    count. What is gathered comes on top of the class probabilities. Nothing warms up, and the prototypes that renew the
    bank are features of the first image at the places where the labels of any image show a class; rows of absent
    classes shrink.

    The program starts from a bank that its authors have collected. Without one, the rows are filled by a first pass
    over the source; until then they are all alike, which gives the student no gradient.

    Args:
        num_classes: number of classes C.
        channels: of the embedding.
        bank: folder of the bank to start from, see :func:`read_bank <mmseg.models.uda.dida.memory_bank.read_bank>`;
            None: it is filled before the training begins.
        size: rows K of the bank that is filled, at least 1.
        classes: class ids with rows in it, rarest first; None for all. Leave out those that the source does not have.
        weight, smoothing, calibrate, momentum, interval: see :class:`InstanceObjective`.

    Raises:
        FileNotFoundError: if there is no such bank.
        ValueError: for a bank with negative features, or a value that cannot be.
    """

    def __init__(self, num_classes: int, channels: int, bank: str | None = None, size: int = 300,
                 classes: Sequence[int] | None = None, weight: float = 0.5, smoothing: float = 1.0,
                 calibrate: bool = True, momentum: float = 0.999, interval: int = 50) -> None:
        super().__init__(weight, smoothing, calibrate, momentum, interval)
        check_count('size', size)
        self.bank = (MemoryBank.empty(size, num_classes, channels, classes, value=1.) if bank is None else
                     MemoryBank.read(bank, num_classes, channels, non_negative=True))

    def first_pass(self, student: BaseSegmentor, batches: Iterable[dict[str, Any]],
                   log: Callable[[str], None]) -> None:
        """Fill the bank, unless it is full, with what a teacher that equals the student sees in source images.

        Raises:
            ValueError: if a class that has rows is not found, or features are negative.
        """
        if self.bank.full:
            return
        start, rows = time.perf_counter(), len(self.bank.label)
        log(f'uda.instance_bank: no bank is given, filling {rows} rows from source images before the training begins')
        teacher = EMATeacher(copy.deepcopy(student), alpha=0).network  # its running statistics are not the student's
        images = fill(self.bank, cast(BaseSegmentor, teacher), batches)
        if not self.bank.full:  # asked to stop
            return
        if self.bank.feature.min() < 0:
            raise ValueError("uda.instance_bank: this network's embedding has negative features, and "
                             "preset='dida_code' takes logarithms of similarities: let the fusion of its decode head "
                             "end with a ReLU, or use preset='cosine'")
        log(f'uda.instance_bank: filled {rows} rows from {images} source images in '
            f'{time.perf_counter() - start:.1f} s')

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Move all rows towards the prototypes of their classes, those of absent classes towards 0."""
        if self.renews(step):
            prototypes = self.prototypes(embedding_of(decoded), step.source.required_label, step.student.align_corners)
            self.bank.feature.mul_(self.momentum).add_(prototypes[self.bank.label], alpha=1 - self.momentum)

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Add what is gathered to the class probabilities; keeps the similarities of the target image."""
        step.items[TEACHER] = similarities = self.similarities(decoded)
        if self.smoothing == 1:
            return probabilities
        size, align_corners = probabilities.shape[-2:], step.student.align_corners
        gathered, total = (resize(maps, size, align_corners=align_corners) for maps in
                           (gather(similarities, self.bank.membership), similarities.sum(dim=1, keepdim=True)))
        return gathered.div_(total).mul_(1 - self.smoothing).add_(probabilities)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``instance.loss_in``, the mean over all pixels; ``instance.bank_filled``, the share of rows."""
        with torch.autocast(view.img.device.type, enabled=False):
            total = self.total(step, self.similarities(decoded), step.student.upsampled(decoded).detach())
        return Losses(trained={'instance.loss_in': self.weight * total / (len(view.img) * view.img[0, 0].numel())},
                      logged={'instance.bank_filled': self.bank.filled.float().mean()})

    # parts of them

    def prototypes(self, embedding: Tensor, label: Tensor, align_corners: bool = False) -> Tensor:
        """Mean of the first image's enlarged embedding where any image shows a class, [C, D]; 0 for absent classes.

        Interpolation is linear: its transpose brings the places of a class down to the embedding, which is much less
        than bringing the embedding up. With several processes each has a first image; their sums are added up.

        Args:
            embedding: [B, D, h, w].
            label: int64 [B, H, W], 255 is ignored.
            align_corners: of the interpolation.
        """
        size = label.shape[-2:]
        down, across = axes(embedding, size, align_corners)
        classes = torch.arange(self.bank.num_classes, device=label.device).view(-1, 1, 1)
        places = embedding.new_zeros(len(classes), *embedding.shape[-2:])
        pixels = embedding.new_zeros(len(classes))
        for image in label:
            for rows in strips(1, len(classes), size):
                shown = (image[rows] == classes).float()
                places += down[:, rows] @ (shown @ across.T)
                pixels += shown.sum(dim=(1, 2))
        return means_of_sums(torch.einsum('chw,dhw->cd', places, embedding[0]), pixels)[0]

    def similarities(self, decoded: Decoded) -> Tensor:
        """Products [B, K, h, w] of the embedding with the rows."""
        return torch.einsum('bdhw,kd->bkhw', embedding_of(decoded), self.bank.feature)

    def total(self, step: StepState, student: Tensor, logits: Tensor) -> Tensor:
        """The loss summed over all pixels; each strip is computed again when it is back-propagated.

        Args:
            student: its similarities, [B, K, h, w].
            logits: of the student at image size, [B, C, H, W].
        """
        teacher, size = step.items[TEACHER], logits.shape[-2:]
        down, across = axes(student, size, step.student.align_corners)

        def strip(student: Tensor, rows: slice) -> Tensor:
            with torch.no_grad():
                factor = scatter(logits[:, :, rows], self.bank.label) if self.calibrate else None
                target = strip_target(interpolate(teacher, down[:, rows], across), factor)
            return cross_entropy(normalised(interpolate(student, down[:, rows], across)), target)

        batch, num_rows = student.shape[:2]
        total = student.new_zeros(())
        for rows in strips(batch, num_rows, size):
            total = total + checkpoint(strip, student, rows, use_reentrant=False, preserve_rng_state=False)
        return total
