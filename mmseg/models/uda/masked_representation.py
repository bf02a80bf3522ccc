"""Masked representation modelling (MRM): classify target images from feature maps of which cells were rebuilt."""
from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Features
from mmseg.models.uda.batch_norms import BATCH_NORMS, statistics
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.rebuilder import Grid, HiddenCells, Rebuilder, feature_layout
from mmseg.models.uda.step_state import StepState, View
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import COUNT, NONE, POSITIVE, SHARE, SIZE, one_of
from mmseg.utils.names import nearest
from mmseg.utils.options import OptionsOf
from mmseg.visualization.panels import Panel

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator

VIEWS = ('target', 'mix', 'masked')


def draw_kept_cells(batch: int, grid: Grid, ratio: float, generator: torch.Generator) -> Tensor:
    """Which cells stay visible, bool [B, 1, rows, columns]; each is hidden with probability ``ratio``."""
    return torch.rand(batch, 1, *grid, generator=generator, device=generator.device) >= ratio


@OBJECTIVES.register_module()
class MaskedRepresentation(Objective):
    """Cross-entropy of what is decoded from rebuilt features with pseudo labels, weighted as in the mix branch.

    The Rebuilder belongs to the training: teacher, frozen network, published and exported networks are without it.

    Args:
        student: the segmentor, for the channels and strides of its maps and the levels that its decoder reads.
        crop_size: (height, width) of training crops, or None; see :class:`Rebuilder`.
        weight: factor of the loss.
        mask_ratio: probability of a cell to be hidden, in [0, 1].
        dim: width of the Rebuilder, a multiple of 4 and of ``heads``.
        depth: blocks of the Rebuilder.
        heads: its attention heads.
        grid: (rows, columns) of cells; 'auto' makes cells of 32 x 32 pixels of what the encoder sees, rounded up. A
            grid finer than a map that the decoder reads is refused. For a grid of one's own the chains of
            deconvolutions are made for the training crop of the data section.
        lr: learning rate of the Rebuilder's parameters, on the schedule of the others; goes before ``paramwise_cfg``.
        view: whose features are rebuilt: those of plain 'target' images, which get a branch of their own, or again
            those of the 'mix' or (with MIC) 'masked' branch, which saves the encoder's pass.
        aux_bn: what the student's batch norms do in the passes that MRM adds: 'frozen' leaves running statistics
            alone, 'update' moves them. They normalise with the batch either way.
        rebuild: False hides cells without rebuilding them: they are zero for the decoder.

    Raises:
        ValueError: for a value that cannot be.
    """
    name = 'mrm'
    opens: str | None = 'target'
    keys = dict(mrm=None)
    key_kinds = dict(mrm=OptionsOf(lambda: MaskedRepresentation) | NONE)
    OPTIONS = dict(mask_ratio=SHARE, lr=POSITIVE, view=one_of(VIEWS), aux_bn=one_of(BATCH_NORMS),
                   grid=SIZE | one_of(['auto']), dim=COUNT, heads=COUNT)
    needs_teacher = True

    def __init__(self, student: BaseSegmentor, crop_size: tuple[int, int] | None, weight: float = 1.0,
                 mask_ratio: float = 0.4, dim: int = 512, grid: Grid | str = 'auto', depth: int = 2, heads: int = 16,
                 lr: float = 2e-4, view: str = 'target', aux_bn: str = 'frozen', rebuild: bool = True) -> None:
        super().__init__()
        for key, value, known in (('view', view, VIEWS), ('aux_bn', aux_bn, BATCH_NORMS)):
            if value not in known:
                raise ValueError(f'{key}={value!r}: {nearest(value, known)}')
        if not 0 <= mask_ratio <= 1:
            raise ValueError(f'mask_ratio={mask_ratio}: the share of hidden cells lies in [0, 1]')
        self.weight, self.mask_ratio, self.lr, self.aux_bn = weight, mask_ratio, lr, aux_bn
        self.decodes_again = view != 'target'
        self.opens, self.joins = (None, view) if self.decodes_again else (view, None)
        layout, read = feature_layout(student), student.levels_read
        if rebuild:
            scale = student.context_scale
            size = crop_size and (int(crop_size[0] * scale), int(crop_size[1] * scale))
            self.rebuilder: HiddenCells = Rebuilder(layout, read, grid, size, dim, depth, heads)
        else:
            self.rebuilder = HiddenCells(layout, read, grid)

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> MaskedRepresentation | None:
        """Active where ``mrm`` is a dict."""
        if uda['mrm'] is None:
            return None
        try:
            return cls.from_options('mrm', uda['mrm'], student=host.model, crop_size=host.crop_size)
        except ValueError as error:
            raise ValueError(f'uda.mrm.{error}') from error

    def optimizer_options(self) -> dict[str, float]:
        """A learning rate of its own; weight decay is that of the other parameters."""
        return dict(lr=self.lr)

    def forwards(self, student: BaseSegmentor) -> AbstractContextManager:
        """Leave running statistics alone, if they are frozen."""
        return statistics(student, self.aux_bn)

    def view(self, step: StepState) -> View:
        """The target images, without augmentation, with the pseudo labels and weights of the mix branch."""
        return View(step.target.img, step.pseudo.label, step.pseudo.weight)

    def rebuild(self, step: StepState, features: Features) -> Features:
        """Hide cells and fill them in again, at each scale of the image with a mask of its own."""
        generator = step.draws.torch('mrm mask', features.maps[0].device)
        maps, masks = [], []
        for levels in features.by_scale():
            grid = self.rebuilder.grid_of(levels)
            masks.append(draw_kept_cells(len(levels[-1]), grid, self.mask_ratio, generator))
            maps += self.rebuilder(levels, masks[-1])
        step.notes.append(Panel('Rebuilt cells', 'mask', ~masks[0]))
        return features.replace(maps)

    def own_losses(self, losses: Losses) -> Losses:
        """Scale all losses of the rebuilt features, those of HRDA's crops and of auxiliary heads, too."""
        return losses.scaled(self.weight)
