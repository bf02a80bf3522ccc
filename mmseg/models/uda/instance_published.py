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
from mmseg.models.uda.cells import means_of_sums
from mmseg.models.uda.instance_bank import InstanceBank, projected
from mmseg.models.uda.instance_relation import gather, scatter
from mmseg.models.uda.step_state import Item, StepState, View

STRIP_BYTES = 64 * 2**20  # of one map of similarities
TEACHER: Item[Tensor] = Item('the similarities of the target images', 'they come with the pseudo labels, in phase 3')


def enlarging(cells: int, pixels: int, align_corners: bool, device: torch.device) -> Tensor:
    """Matrix [cells, pixels] of linear interpolation along one axis."""
    mode = dict(mode='linear', align_corners=align_corners)
    return F.interpolate(torch.eye(cells, device=device).unsqueeze(0), pixels, **mode)[0]


def enlarge(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maps [B, N, r, W] at rows [h, r] and columns [w, W] of an enlarged image, from maps [B, N, h, w]."""
    return torch.einsum('bnhw,hr->bnrw', maps, rows) @ columns


def shares(similarities: Tensor) -> Tensor:
    """Similarities [B, K, r, W] divided by their sum over the rows of the bank."""
    return similarities / similarities.sum(dim=1, keepdim=True)


def strip_target(similarities: Tensor, factor: Tensor | None) -> Tensor:
    """What the student's shares should be: those of similarities [B, K, r, W], times a factor if there is one."""
    return shares(similarities if factor is None else similarities * factor)


def cross_entropy(relation: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of shares with a target, summed over pixels; both [B, K, r, W]."""
    return -(target * (relation + 1e-10).log()).sum()


def strips(batch: int, rows: int, size: tuple[int, int]) -> list[slice]:
    """Image rows whose similarities [batch, rows, r, W] take less than 64 MiB; at least one row each."""
    step = max(1, (STRIP_BYTES - 1) // (4 * batch * rows * size[1]))
    return [slice(start, min(start + step, size[0])) for start in range(0, size[0], step)]


class PublishedInstanceBank(InstanceBank):
    """The published program's active path, oddities included.

    Similarities are plain products of features, divided by their sum. The raw class scores of the student for the
    mixed image, which may be negative, take the place of the teacher's probabilities in the calibration, and all pixels
    count. What is gathered comes on top of the class probabilities. The bank has to exist, nothing warms up, and its
    entries are features of the first image at the places where the labels of any image show a class; rows of absent
    classes shrink.

    Args:
        num_classes, channels, alpha: see :class:`InstanceBank`.
        bank: folder of the bank to start from.
        weight, smoothing, calibrate, momentum, interval: see :class:`InstanceBank`.

    Raises:
        ValueError: without a bank.
    """
    preset = 'dida_code'

    def __init__(self, num_classes: int, channels: int, alpha: float, bank: str | None = None, weight: float = 0.5,
                 smoothing: float = 1.0, calibrate: bool = True, momentum: float = 0.999, interval: int = 50) -> None:
        if bank is None:
            raise ValueError("preset='dida_code' starts from a bank that exists: name its folder with bank='...'")
        super().__init__(num_classes, channels, alpha, weight=weight, smoothing=smoothing, calibrate=calibrate,
                         momentum=momentum, interval=interval, warmup=0, bank=bank)

    def on_source(self, step: StepState, features: Features, decoded: Decoded) -> None:
        """Move all rows towards the entries of their classes, those of absent classes towards 0."""
        if step.draws.iteration % self.interval == 0:
            entries = self.entries(projected(None, decoded), step.source.label, step.student.align_corners)
            row, momentum = self.bank.feature, self.momentum
            row.mul_(momentum).add_(entries[self.bank.label], alpha=1 - momentum)

    def entries(self, embedding: Tensor, label: Tensor, align_corners: bool = False) -> Tensor:
        """Mean of the first image's enlarged embedding where any image shows a class, [C, D]; 0 for absent classes.

        Interpolation is linear: its transpose brings the places of a class down to the embedding, which is much less
        than bringing the embedding up. With several processes each has a first image; their sums are added up.

        Args:
            embedding: [B, D, h, w].
            label: int64 [B, H, W].
            align_corners: of the interpolation.
        """
        (height, width), size = embedding.shape[-2:], tuple(label.shape[-2:])
        down, across = (enlarging(*axis, align_corners, label.device) for axis in ((height, size[0]), (width, size[1])))
        classes = torch.arange(self.bank.num_classes, device=label.device).view(-1, 1, 1)
        places = embedding.new_zeros(len(classes), height, width)
        pixels = embedding.new_zeros(len(classes))
        for image in label:
            for rows in strips(1, len(classes), size):
                shown = (image[rows] == classes).float()
                places += down[:, rows] @ (shown @ across.T)
                pixels += shown.sum(dim=(1, 2))
        return means_of_sums(torch.einsum('chw,dhw->cd', places, embedding[0]), pixels)[0]

    def products(self, decoded: Decoded) -> Tensor:
        """Products [B, K, h, w] of the embedding with the rows."""
        return torch.einsum('bdhw,kd->bkhw', projected(None, decoded), self.bank.feature)

    def refine(self, step: StepState, probabilities: Tensor, decoded: Decoded) -> Tensor:
        """Add what is gathered to the class probabilities; keeps the products of the target image."""
        step.items[TEACHER] = products = self.products(decoded)
        if self.smoothing == 1:
            return probabilities
        size, align_corners = tuple(probabilities.shape[-2:]), step.student.align_corners
        gathered, total = (resize(maps, size, align_corners=align_corners) for maps in
                           (gather(products, self.bank.membership), products.sum(dim=1, keepdim=True)))
        return gathered.div_(total).mul_(1 - self.smoothing).add_(probabilities)

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``instance.loss_in``, the mean over all pixels."""
        with torch.autocast(view.img.device.type, enabled=False):
            total = self.total(step, self.products(decoded), step.student.upsampled(decoded).detach())
        return Losses({'instance.loss_in': self.weight * total / (len(view.img) * view.img[0, 0].numel())})

    def total(self, step: StepState, mine: Tensor, logits: Tensor) -> Tensor:
        """The loss summed over all pixels; each strip is computed again when it is back-propagated.

        Args:
            mine: products of the student, [B, K, h, w].
            logits: of the student at image size, [B, C, H, W].
        """
        theirs, size, align_corners = step.items[TEACHER], tuple(logits.shape[-2:]), step.student.align_corners
        down, across = (enlarging(cells, pixels, align_corners, logits.device)
                        for cells, pixels in zip(mine.shape[-2:], size))

        def strip(mine: Tensor, rows: slice) -> Tensor:
            with torch.no_grad():
                factor = scatter(logits[:, :, rows], self.bank.label) if self.calibrate else None
                target = strip_target(enlarge(theirs, down[:, rows], across), factor)
            return cross_entropy(shares(enlarge(mine, down[:, rows], across)), target)

        return sum(checkpoint(strip, mine, rows, use_reentrant=False, preserve_rng_state=False)
                   for rows in strips(*mine.shape[:2], size))
