"""What the published DIDA program computes in the place of the paper's equations, for comparisons (preset 'dida_code').

All of it happens at image resolution, since a logarithm is taken of enlarged similarities. What is linear is computed
at the resolution of the embedding instead; the rest goes through the image in strips of rows.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.dida.base import InstanceObjective, preset
from mmseg.models.uda.dida.memory_bank import MemoryBank
from mmseg.models.uda.dida.prototypes import means_of_sums
from mmseg.models.uda.dida.relation import gather, scatter
from mmseg.models.uda.step_state import Item, StepState, View

STRIP_BYTES = 64 * 2**20  # of one map of similarities
TEACHER: Item[Tensor] = Item('the similarities of the target images', 'they come with the pseudo labels, in phase 3')


def interpolation(cells: int, pixels: int, align_corners: bool, device: torch.device) -> Tensor:
    """Matrix [cells, pixels] of linear interpolation along one axis."""
    mode = dict(mode='linear', align_corners=align_corners)
    return F.interpolate(torch.eye(cells, device=device).unsqueeze(0), pixels, **mode)[0]


def axes(maps: Tensor, size: tuple[int, int], align_corners: bool) -> tuple[Tensor, Tensor]:
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


def strips(batch: int, rows: int, size: tuple[int, int]) -> list[slice]:
    """Strips of an image of ``size`` (H, W) whose maps [batch, rows, r, W] take less than 64 MiB; r is at least 1."""
    step = max(1, (STRIP_BYTES - 1) // (4 * batch * rows * size[1]))
    return [slice(start, min(start + step, size[0])) for start in range(0, size[0], step)]


@preset('dida_code')
class PublishedInstanceBank(InstanceObjective):
    """The published program's active path, oddities included.

    Similarities are plain products of features, divided by their sum. The raw class scores of the student for the
    mixed image, which may be negative, take the place of the teacher's probabilities in the calibration, and all pixels
    count. What is gathered comes on top of the class probabilities. The bank has to exist, nothing warms up, and its
    prototypes are features of the first image at the places where the labels of any image show a class; rows of absent
    classes shrink.

    Args:
        num_classes: number of classes C.
        channels: of the embedding.
        bank: folder of the bank to start from.
        weight, smoothing, calibrate, momentum, interval: see :class:`InstanceObjective`.

    Raises:
        FileNotFoundError: if there is no such bank.
        ValueError: without a bank, or for a value that cannot be.
    """

    def __init__(self, num_classes: int, channels: int, bank: str | None = None, weight: float = 0.5,
                 smoothing: float = 1.0, calibrate: bool = True, momentum: float = 0.999, interval: int = 50) -> None:
        if bank is None:
            raise ValueError("preset='dida_code' starts from a bank that exists: name its folder with bank='...'")
        super().__init__(weight, smoothing, calibrate, momentum, interval)
        self.bank = MemoryBank.read(bank, num_classes, channels)

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Move all rows towards the prototypes of their classes, those of absent classes towards 0."""
        if self.renews(step):
            prototypes = self.prototypes(decoded.embedding.float(), step.source.label, step.student.align_corners)
            self.bank.feature.mul_(self.momentum).add_(prototypes[self.bank.label], alpha=1 - self.momentum)

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Add what is gathered to the class probabilities; keeps the similarities of the target image."""
        step.items[TEACHER] = similarities = self.similarities(decoded)
        if self.smoothing == 1:
            return probabilities
        size, align_corners = tuple(probabilities.shape[-2:]), step.student.align_corners
        gathered, total = (resize(maps, size, align_corners=align_corners) for maps in
                           (gather(similarities, self.bank.membership), similarities.sum(dim=1, keepdim=True)))
        return gathered.div_(total).mul_(1 - self.smoothing).add_(probabilities)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``instance.loss_in``, the mean over all pixels."""
        with torch.autocast(view.img.device.type, enabled=False):
            total = self.total(step, self.similarities(decoded), step.student.upsampled(decoded).detach())
        return Losses({'instance.loss_in': self.weight * total / (len(view.img) * view.img[0, 0].numel())})

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
        size = tuple(label.shape[-2:])
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
        return torch.einsum('bdhw,kd->bkhw', decoded.embedding.float(), self.bank.feature)

    def total(self, step: StepState, student: Tensor, logits: Tensor) -> Tensor:
        """The loss summed over all pixels; each strip is computed again when it is back-propagated.

        Args:
            student: its similarities, [B, K, h, w].
            logits: of the student at image size, [B, C, H, W].
        """
        teacher, size = step.items[TEACHER], tuple(logits.shape[-2:])
        down, across = axes(student, size, step.student.align_corners)

        def strip(student: Tensor, rows: slice) -> Tensor:
            with torch.no_grad():
                factor = scatter(logits[:, :, rows], self.bank.label) if self.calibrate else None
                target = strip_target(interpolate(teacher, down[:, rows], across), factor)
            return cross_entropy(normalised(interpolate(student, down[:, rows], across)), target)

        return sum(checkpoint(strip, student, rows, use_reentrant=False, preserve_rng_state=False)
                   for rows in strips(*student.shape[:2], size))
