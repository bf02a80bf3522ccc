"""Cross-entropy and accuracy."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.losses import CrossEntropyLoss, accuracy
from mmseg.models.losses.cross_entropy_loss import load_class_weight


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 5, 6, 7, requires_grad=True), torch.randint(0, 5, (2, 6, 7))
    label[0, :2] = 255
    return logits, label


def test_values_and_gradients_are_those_of_torch() -> None:
    logits, label = sample()
    CrossEntropyLoss()(logits, label).backward()
    copy = logits.detach().clone().requires_grad_()
    expected = F.cross_entropy(copy, label, ignore_index=255, reduction='sum') / label.numel()
    expected.backward()
    assert torch.isclose(CrossEntropyLoss()(logits, label), expected)
    assert torch.allclose(logits.grad, copy.grad, atol=1e-8)
    assert not logits.grad[0, :, :2].any()


@pytest.mark.parametrize('suffix', ['.npy', '.json'])
def test_class_weights_from_a_file(tmp_path: Path, suffix: str) -> None:
    weights, path = [1., 2., 3., 4., 5.], tmp_path / f'weights{suffix}'
    np.save(path, weights) if suffix == '.npy' else path.write_text(json.dumps(weights))
    logits, label = sample()
    given, read = CrossEntropyLoss(class_weight=weights), CrossEntropyLoss(class_weight=str(path))
    assert torch.equal(given(logits, label), read(logits, label))
    with pytest.raises(FileNotFoundError, match='class_weight'):
        CrossEntropyLoss(class_weight=str(tmp_path / 'absent.npy'))


def test_sigmoid_is_binary_cross_entropy_per_class() -> None:
    logits, label = sample()
    loss = CrossEntropyLoss(use_sigmoid=True)(logits, label)
    target = F.one_hot(label.clamp_max(4), 5).movedim(-1, 1).float()
    expected = F.binary_cross_entropy_with_logits(logits, target, reduction='none') * (label != 255).unsqueeze(1)
    assert torch.isclose(loss, expected.mean())


def test_reductions_that_cannot_be_are_refused() -> None:
    logits, label = sample()
    with pytest.raises(ValueError, match='avg_factor'):
        CrossEntropyLoss(reduction='sum')(logits, label, avg_factor=3)
    with pytest.raises(ValueError, match='median'):
        CrossEntropyLoss()(logits, label, reduction_override='median')


def test_half_precision_logits_give_an_fp32_loss() -> None:
    logits, label = sample()
    loss = CrossEntropyLoss()(logits.bfloat16(), label)
    assert loss.dtype == torch.float32
    assert torch.isclose(loss, CrossEntropyLoss()(logits.bfloat16().float(), label))


def test_accuracy_counts_ignored_pixels_as_wrong() -> None:
    label = torch.tensor([[[0, 1, 255, 255]]])
    logits = F.one_hot(torch.tensor([[[0, 0, 1, 1]]]), 3).movedim(-1, 1).float()
    assert accuracy(logits, label) == 25
    assert [float(a) for a in accuracy(logits, label, topk=(1, 3))] == [25, 50]


@pytest.mark.parametrize('name, content', [
    ('w.npy', b'no numpy'), ('w.json', b'{'), ('w.json', b'{"a": 1}'), ('w.json', b'[1, NaN]'), ('w.json', b'[1, -1]'),
    ('w.json', b'[1, "x"]'), ('w.json', b'[[1, 2]]'), ('w.json', b'[' * 10**5), ('w.json', b'\xff')])
def test_class_weights_that_are_none_are_refused_by_the_name_of_the_file(tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f'class_weight: {tmp_path / name}'):
        load_class_weight(str(tmp_path / name))


def test_class_weights_that_train_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match='class_weight holds no number above 0'):
        CrossEntropyLoss(class_weight=[0, 0.0, 0])


def test_class_weights_with_code_are_refused(tmp_path) -> None:
    np.save(tmp_path / 'w.npy', np.array([dict()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match='w.npy cannot be read'):
        load_class_weight(str(tmp_path / 'w.npy'))
