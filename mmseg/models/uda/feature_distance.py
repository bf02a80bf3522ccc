"""Feature distance to a frozen ImageNet network, on cells of thing classes (DAFormer section 3.3)."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_segmentor, names_weights
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.models.uda.cells import label_cells
from mmseg.models.uda.objective import Objective
from mmseg.models.uda.step_state import StepState, View
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import NONE, SHARE, WHOLE, list_of
from mmseg.visualization.panels import Panel

if TYPE_CHECKING:
    from mmseg.models.uda.base import UDADecorator


@OBJECTIVES.register_module()
class FeatureDistance(Objective):
    """Keeps the encoder near its ImageNet features while it learns on synthetic images.

    Args:
        network: the frozen segmentor.
        weight: factor of the loss.
        classes: train ids whose cells are compared (the thing classes); None compares all cells.
        min_ratio: share of a cell that its class must cover; needed when ``classes`` is given.

    Keys:
        imnet_feature_dist_lambda: weight of the feature distance; above 0 needs ImageNet weights.
        imnet_feature_dist_classes: class ids whose cells are compared; None compares all.
        imnet_feature_dist_scale_min_ratio: share of a feature cell that its class must cover.
        imnet_feature_dist_allow_random: for tests: compare with random weights.

    Raises:
        ValueError: if ``classes`` is given without ``min_ratio``.
    """
    name = 'feature_distance'
    joins = 'source'
    networks = ('imnet_model', )
    keys = dict(
        imnet_feature_dist_lambda=0,
        imnet_feature_dist_classes=None,
        imnet_feature_dist_scale_min_ratio=None,
        imnet_feature_dist_allow_random=False)
    key_kinds = dict(imnet_feature_dist_classes=list_of(WHOLE) | NONE, imnet_feature_dist_scale_min_ratio=SHARE | NONE)

    def __init__(self, network: BaseSegmentor, weight: float, classes: list[int] | None,
                 min_ratio: float | None) -> None:
        super().__init__()
        if classes is not None and min_ratio is None:
            raise ValueError('uda.imnet_feature_dist_classes needs uda.imnet_feature_dist_scale_min_ratio: '
                             'DAFormer uses 0.75')
        self._network = (network.requires_grad_(False).eval(), )  # no submodule: the host mounts it
        self.weight, self.classes, self.min_ratio = weight, classes, min_ratio

    @classmethod
    def from_config(cls, uda: dict[str, Any], host: UDADecorator) -> FeatureDistance | None:
        """Active with a factor; without ImageNet weights a ValueError, unless random ones are allowed."""
        if not uda['imnet_feature_dist_lambda']:
            return None
        if not (names_weights(host.model_cfg) or uda['imnet_feature_dist_allow_random']):
            raise ValueError(
                'uda.imnet_feature_dist_lambda > 0 compares the encoder with its ImageNet weights, but the model has '
                'none: set model.pretrained (e.g. pretrained/mit_b5.pth), or uda.imnet_feature_dist_lambda=0')
        return cls(build_segmentor(host.model_cfg), uda['imnet_feature_dist_lambda'],
                   uda['imnet_feature_dist_classes'], uda['imnet_feature_dist_scale_min_ratio'])

    @classmethod
    def without_weights(cls, uda: dict[str, Any]) -> dict[str, Any]:
        """Allow random weights, if it is active."""
        return dict(imnet_feature_dist_allow_random=True) if uda.get('imnet_feature_dist_lambda') else {}

    @classmethod
    def class_ids(cls, uda: dict[str, Any]) -> dict[str, list[int]]:
        """The thing classes, if it is active and has some."""
        ids = uda.get('imnet_feature_dist_classes')
        return dict(imnet_feature_dist_classes=list(ids)) if uda.get('imnet_feature_dist_lambda') and ids else {}

    @property
    def network(self) -> BaseSegmentor:
        """The frozen segmentor."""
        return self._network[0]

    def mounted(self) -> dict[str, nn.Module]:
        """The frozen network, as ``imnet_model``."""
        return dict(imnet_model=self.network)

    def init_weights(self, student: BaseSegmentor) -> None:
        """Take over the ImageNet weights."""
        self.network.load_state_dict(student.state_dict())

    def losses(self, step: StepState, view: View, features: Features, decoded: Decoded) -> Losses:
        """``src.loss_imnet_feat_dist``, summed over the scales that the segmentor compares."""
        with torch.no_grad():
            reference = self.network.reference_features(view.img, features)
        distance = torch.zeros((), device=view.img.device)
        for (mine, box), (frozen, _) in zip(features.compared(), reference.compared()):
            label = view.required_label if box is None else view.required_label[:, box[0]:box[1], box[2]:box[3]]
            distance = distance + self._distance(step, mine.float(), frozen.float(), label)
        return Losses({'src.loss_imnet_feat_dist': self.weight * distance})

    def _distance(self, step: StepState, mine: Tensor, frozen: Tensor, label: Tensor) -> Tensor:
        """Mean Euclidean distance over the compared cells; 0, with zero gradients, where there is none."""
        # vector_norm: its gradient is 0, not NaN, where both features agree
        distance = torch.linalg.vector_norm(mine - frozen, dim=1)
        if self.classes is None or self.min_ratio is None:
            return distance.mean()
        cells = label_cells(label, distance.shape[-2:], step.student.num_classes, self.min_ratio)
        compared = torch.zeros_like(cells, dtype=torch.bool)
        for class_id in self.classes:
            compared |= cells == class_id
        step.notes += [Panel('Label cells', 'label', cells), Panel('Compared cells', 'mask', compared)]
        return (distance * compared).sum() / compared.sum().clamp_min(1)
