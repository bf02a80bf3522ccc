"""Online hard example mining: which pixels are chosen."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmseg.models import build_head
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.samplers import OHEMPixelSampler
from tests.models.base_head import features, labels

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(2, 5, 65, 97, generator=torch.Generator().manual_seed(3))


def confidence(logits: Tensor, label: Tensor) -> Tensor:
    return logits.softmax(1).gather(1, label.where(label != 255, 0)[:, None]).squeeze(1)


@pytest.mark.parametrize('device', DEVICES)
def test_without_threshold_the_highest_losses_are_kept(logits: Tensor, device: str) -> None:
    logits, label = logits.to(device), labels(device=device)
    chosen = OHEMPixelSampler(min_kept=500).sample(logits, label, CrossEntropyLoss())
    assert chosen.shape == label.shape and chosen.dtype == torch.float32
    assert set(chosen.unique().tolist()) == {0., 1.}
    assert chosen.sum() == 1000 and not chosen[label == 255].any()
    loss = CrossEntropyLoss()(logits, label, reduction_override='none')
    assert loss[chosen == 1].min() >= loss[(chosen == 0) & (label != 255)].max()


def test_equal_losses_do_not_add_pixels() -> None:
    chosen = OHEMPixelSampler(min_kept=500).sample(torch.zeros(2, 5, 65, 97), labels(), CrossEntropyLoss())
    assert chosen.sum() == 1000


def test_the_heads_own_loss_ranks_the_pixels(logits: Tensor) -> None:
    label = labels()
    weighted = CrossEntropyLoss(class_weight=[0.01, 0.01, 100., 0.01, 0.01])
    chosen = OHEMPixelSampler(min_kept=500).sample(logits, label, weighted)
    assert (label[chosen == 1] == 2).all()
    binary = OHEMPixelSampler(min_kept=500).sample(logits, label, CrossEntropyLoss(use_sigmoid=True))
    assert binary.shape == label.shape and binary.sum() == 1000


@pytest.mark.parametrize('device', DEVICES)
def test_threshold_keeps_all_unsure_pixels(logits: Tensor, device: str) -> None:
    logits, label = logits.to(device), labels(device=device)
    chosen = OHEMPixelSampler(thresh=0.7, min_kept=10).sample(logits, label, CrossEntropyLoss())
    expected = (confidence(logits, label) < 0.7) & (label != 255)
    assert expected.sum() > 20 and torch.equal(chosen.bool(), expected)


def test_threshold_keeps_at_least_the_least_confident(logits: Tensor) -> None:
    label = labels()
    chosen = OHEMPixelSampler(thresh=1e-4, min_kept=1000).sample(logits, label, CrossEntropyLoss()).bool()
    unsure = confidence(logits, label)
    assert chosen.sum() == 2000 > (unsure < 1e-4).sum()
    assert unsure[chosen].max() <= unsure[~chosen & (label != 255)].min()


@pytest.mark.parametrize('thresh', [None, 0.7])
def test_few_or_no_valid_pixels(logits: Tensor, thresh: float | None) -> None:
    sampler = OHEMPixelSampler(thresh, min_kept=100000)
    label = labels()
    assert torch.equal(sampler.sample(logits, label, CrossEntropyLoss()) == 1, label != 255)
    label.fill_(255)
    assert not sampler.sample(logits, label, CrossEntropyLoss()).any()


@pytest.mark.parametrize(('key', 'value'), [('thresh', 0.), ('thresh', 1.5), ('min_kept', 0)])
def test_impossible_settings_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        OHEMPixelSampler(**{key: value})


def test_head_uses_the_choice_instead_of_the_weight() -> None:
    torch.manual_seed(0)
    head = build_head(dict(type='FCNHead', in_channels=32, in_index=3, channels=16, num_classes=5,
                           sampler=dict(type='OHEMPixelSampler', min_kept=500))).eval()
    label, output = labels(), head(features())
    loss = head.losses(output, label, torch.zeros(2, 65, 97))['loss_seg']
    pixels = CrossEntropyLoss()(head.upsampled(output.logits, (65, 97)), label, reduction_override='none').flatten()
    torch.testing.assert_close(loss, pixels.topk(1000).values.sum() / pixels.numel())
    loss.backward()
    assert head.conv_seg.weight.grad.abs().sum() > 0
