"""Dice and focal loss, alone and beside cross-entropy."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg.models import build_head
from mmseg.models.losses import CrossEntropyLoss, DiceLoss, FocalLoss
from tests.models.test_heads import LAST, features, labels

LOSSES = [DiceLoss(), FocalLoss(), FocalLoss(use_sigmoid=False)]


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 5, 6, 7, requires_grad=True), torch.randint(0, 5, (2, 6, 7))


def test_dice_of_a_coin() -> None:
    """Two pixels, one of each class, both at one half: 1 - (2 * 0.5 + 1) / (2 * 0.25 + 1 + 1) for either class."""
    logits, label = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    assert DiceLoss()(logits, label).item() == pytest.approx(0.2)
    assert DiceLoss(exponent=1)(logits, label).item() == pytest.approx(1 - 2 / 3)
    assert DiceLoss(smooth=1e-9, loss_weight=3.)(logits, label).item() == pytest.approx(3 * (1 - 1 / 1.5))
    assert DiceLoss(class_weight=[1., 0.])(logits, label).item() == pytest.approx(0.1)


def test_dice_is_zero_where_all_is_right_and_near_one_where_all_is_wrong() -> None:
    label = torch.randint(0, 3, (2, 8, 8))
    right = 50. * F.one_hot(label, 3).movedim(-1, 1)
    assert DiceLoss()(right, label).item() == pytest.approx(0, abs=1e-6)
    assert DiceLoss()(right, (label + 1) % 3).item() > 0.9


def test_focal_loss_of_a_coin() -> None:
    """Probability one half: 0.25 ln 2, times alpha for 'yes' and 1 - alpha for 'no'."""
    logits, label = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
    part = 0.25 * math.log(2)
    assert FocalLoss(use_sigmoid=False)(logits, label).item() == pytest.approx(part)
    assert FocalLoss(alpha=0.3)(logits, label).item() == pytest.approx((0.3 * part + 0.7 * part) / 2)
    assert FocalLoss(alpha=0.3, class_weight=[1., 0.])(logits, label).item() == pytest.approx(0.15 * part)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, label = sample()
    label[0, :2] = 255
    torch.testing.assert_close(FocalLoss(use_sigmoid=False, gamma=0)(logits, label), CrossEntropyLoss()(logits, label))
    torch.testing.assert_close(2 * FocalLoss(gamma=0)(logits, label), CrossEntropyLoss(use_sigmoid=True)(logits, label))


@pytest.mark.parametrize('criterion', LOSSES)
def test_ignored_and_weightless_pixels_teach_nothing(criterion) -> None:
    logits, label = sample()
    label[0, :2] = 255
    label[1, 0] = 7
    weight = torch.rand(label.shape)
    weight[1, 3:] = 0
    criterion(logits, label, weight=weight, ignore_index=7).backward()
    taught = (label != 255) & (label != 7) & (weight > 0)
    assert torch.equal(logits.grad.abs().sum(1) > 0, taught)


@pytest.mark.parametrize('criterion', [DiceLoss(smooth=1e-9), *LOSSES[1:]])
def test_pseudo_labels_count_by_their_confidence(criterion) -> None:
    """Half the confidence is half the loss; cross-entropy is weighted so, too."""
    logits, label = sample()
    half = torch.full(label.shape, 0.5)
    torch.testing.assert_close(criterion(logits, label, weight=half), criterion(logits, label) / 2)
    assert criterion(logits, label, weight=0 * half) == 0


def test_an_image_of_void_gives_no_nan() -> None:
    logits, _ = sample()
    for criterion in LOSSES:
        loss = criterion(logits, torch.full((2, 6, 7), 255), weight=torch.zeros(2, 6, 7))
        loss.backward()
        assert loss == 0 and torch.isfinite(logits.grad).all()


def test_a_head_adds_its_losses_up_and_logs_each() -> None:
    torch.manual_seed(0)
    several = [dict(type='CrossEntropyLoss', loss_weight=0.7), dict(type='DiceLoss', loss_weight=0.3),
               dict(type='FocalLoss', use_sigmoid=False)]
    head = build_head(dict(type='FCNHead', num_classes=5, loss_decode=several, **LAST)).eval()
    output = head(features())
    losses = head.losses(output, labels(), weight=torch.rand(labels().shape))
    assert set(losses.trained) == {'loss_seg'}
    torch.testing.assert_close(sum(losses[name] for name in ('loss_ce', 'loss_dice', 'loss_focal')), losses['loss_seg'])
    assert not any('criteria' in key for key in head.state_dict()), 'checkpoints keep their keys'


def test_hard_pixels_cannot_be_ranked_by_a_loss_that_has_none() -> None:
    with pytest.raises(ValueError, match='DiceLoss has none for each pixel: name CrossEntropyLoss first'):
        build_head(dict(type='FCNHead', num_classes=5, loss_decode=[dict(type='DiceLoss')],
                        sampler=dict(type='OHEMPixelSampler'), **LAST))
