"""Feature distance where the originals fail: equal features, no thing in the crop, any crop size."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg.models.segmentors.results import Features
from mmseg.models.uda.feature_distance import FeatureDistance, label_cells
from mmseg.models.uda.step_state import View

from .base_objective import ObjectiveTests


class TestFeatureDistance(ObjectiveTests):
    uda = dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True,
               imnet_feature_dist_classes=[1, 2], imnet_feature_dist_scale_min_ratio=0.25)
    off = dict(imnet_feature_dist_lambda=0)
    trained = {'src.loss_imnet_feat_dist'}
    still = ('imnet_model.', )


def distance(student, frozen, label, classes):
    network = nn.Module()
    network.reference_features = lambda *_: Features([frozen], (64, 64))
    step = SimpleNamespace(student=SimpleNamespace(num_classes=5), notes=[])
    objective = FeatureDistance(network, 0.005, classes, 0.75)
    view = View(torch.zeros(1, 3, *label.shape[1:]), label)
    return objective.losses(step, view, Features([student], (64, 64)), None)['src.loss_imnet_feat_dist']


@pytest.mark.parametrize('classes', [[1], None])
def test_equal_features_give_zero_gradients_not_nan(classes):
    frozen = torch.randn(1, 8, 4, 4)
    student = frozen.clone().requires_grad_()
    loss = distance(student, frozen, torch.ones(1, 64, 64, dtype=torch.int64), classes)
    loss.backward()
    assert loss == 0 and (student.grad == 0).all()


def test_a_crop_without_things_gives_zero_not_nan():
    student = torch.randn(1, 8, 4, 4, requires_grad=True)
    loss = distance(student, torch.randn(1, 8, 4, 4), torch.zeros(1, 64, 64, dtype=torch.int64), [1])
    loss.backward()
    assert loss == 0 and (student.grad == 0).all()


@pytest.mark.parametrize('height,width', [(360, 480), (375, 500), (64, 100)])
def test_cells_fit_the_feature_map_of_any_crop(height, width):
    size = (-(-height // 32), -(-width // 32))
    label = torch.zeros(2, height, width, dtype=torch.int64)
    label[:, :, width // 2:] = 3
    label[1] = 255
    cells = label_cells(label, size, 5, 0.75)
    assert cells.shape == (2, *size)
    assert (cells[0, :, 0] == 0).all() and (cells[0, :, -1] == 3).all() and (cells[1] == 255).all()
