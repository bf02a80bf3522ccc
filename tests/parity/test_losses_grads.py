"""Losses, gradients, features and running statistics of one batch."""
from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg.models.losses import CrossEntropyLoss, accuracy
from tests.parity import golden, model_zoo
from tests.parity.golden import EXACT, GRADIENT, Case, UnknownName, labels, rnd

pytestmark = pytest.mark.parity

# cross-entropy

CRITERION = re.compile(r'(?P<all_ignored>all_ignored_)?(?:(?P<reduction>mean|sum|none)|(?P<avg>avg_factor_nvalid)|'
                       r'class_weight_lw(?P<weight>[\d.]+))(?P<weighted>_weighted)?')


def cross_entropy(name: str) -> tuple[Tensor, Tensor]:
    """The loss of a case, and its logits."""
    match = CRITERION.fullmatch(name)
    if not match:
        raise UnknownName(f'cross-entropy case {name!r}')
    logits = (2 * rnd(500, (2, 19, 24, 32))).requires_grad_()
    label = labels(501, 2, 24, 32, 4).squeeze(1)
    if match['all_ignored']:
        label.fill_(255)
    criterion = CrossEntropyLoss()
    if match['weight']:
        class_weight = [0.5 + 0.05 * c for c in range(19)]
        criterion = CrossEntropyLoss(class_weight=class_weight, loss_weight=float(match['weight']))
    weight = None
    if match['weighted']:
        weight = golden.tensor(np.random.RandomState(502).random_sample((2, 24, 32)).astype(np.float32))
    avg_factor = (label != 255).sum().item() if match['avg'] else None
    loss = criterion.to(golden.DEVICE)(logits, label, weight, avg_factor, reduction_override=match['reduction'])
    return loss, logits


def split_cross_entropy(entry: str) -> tuple[str, str]:
    if not entry.startswith('ce/'):
        return 'segmentors', entry
    name, _, field = entry.removeprefix('ce/').partition('/')
    if not CRITERION.fullmatch(name) or field not in ('', 'grad'):
        raise UnknownName('ce/<case>[/grad]')
    return f'ce/{name}', field


@golden.cases('losses_grads.npz', split=split_cross_entropy)
def test_cross_entropy_arrays(case: Case) -> None:
    if case.name == 'segmentors':
        pytest.skip('compared in test_segmentor_arrays')
    loss, logits = cross_entropy(case.name.removeprefix('ce/'))
    loss.sum().backward()
    for field in case.fields:
        case.check(field, logits.grad if field == 'grad' else loss)


def test_cross_entropy_numbers() -> None:
    label = labels(501, 2, 24, 32, 4).squeeze(1)
    logits = 2 * rnd(500, (2, 19, 24, 32))
    other = {
        'n_valid': (label != 255).sum(),
        'n_total': label.numel(),
        'accuracy_percent': accuracy(logits, label),
        'accuracy_top1_5_percent': accuracy(logits, label, topk=(1, 5)),
    }
    for name, expected in golden.recorded('losses_grads.json', 'cross_entropy').items():
        actual = other[name] if name in other else cross_entropy(name)[0].detach()
        np.testing.assert_allclose(golden.numbers(actual), expected, rtol=1e-5, err_msg=name)


# segmentors


@pytest.fixture(scope='module', autouse=True)
def memory() -> Iterator[None]:
    """Free what :func:`run` keeps because the numbers of all cases are compared before their arrays."""
    yield
    run.cache_clear()


@cache
def run(name: str, scale: float = 1.) -> dict[str, Any]:
    """Forward and backward of a case 'model/recipe/mode/weighting'; ``scale`` multiplies the image."""
    model_name, recipe, mode, weighting = name.split('/')
    model = model_zoo.filled(model_zoo.segmentor, model_name, recipe)
    golden.without_dropout(model).train(mode == 'train')
    weight = None
    if weighting == 'weighted':
        weight = golden.tensor(np.random.RandomState(512).random_sample((2, 128, 128)).astype(np.float32))
    box = None
    if model_name.startswith('hrda'):
        box = (0, 128, 0, 128) if '_full' in model_name else (24, 88, 40, 104)
    features = model.encode(scale * rnd(510, (2, 3, 128, 128)), box)
    losses = model.losses(model.decode(features), labels(511, 2, 128, 128, 24).squeeze(1), weight)
    total = losses.total()
    total.backward()
    return {
        'log_vars': {k: v.detach() for k, v in losses.items()} | {'loss': total.detach()},
        'grad': {k: p.grad for k, p in model.named_parameters()},
        'feat_last': features.compared()[-1][0].detach(),
        'buf_after': dict(model.named_buffers()),
    }


def check_case_name(name: str) -> None:
    parts = name.split('/')
    if len(parts) != 4 or parts[1] not in 'AB' or parts[2] not in ('train', 'eval') or parts[3] not in (
            'weighted', 'unweighted'):
        raise UnknownName('model/recipe/mode/weighting')
    model_zoo.segmentor_config(parts[0])


def split_numbers(entry: str) -> tuple[str, str]:
    if entry != 'cross_entropy':
        check_case_name(entry)
    return entry, ''


@golden.cases('losses_grads.json', split=split_numbers)
def test_segmentor_numbers(case: Case) -> None:
    if case.name == 'cross_entropy':
        pytest.skip('compared in test_cross_entropy_numbers')
    expected, actual = golden.read_json(case.file)[case.name], run(case.name)
    assert set(expected) == {'log_vars', 'grad_l2', 'grad_none', 'grad_global_l2', 'feat_last_stats'}
    assert set(actual['log_vars']) == set(expected['log_vars'])
    for key, value in expected['log_vars'].items():
        tolerance = dict(atol=0.02) if 'acc' in key else dict(rtol=1e-5)
        np.testing.assert_allclose(golden.numbers(actual['log_vars'][key]), value, err_msg=key,
                                   **{'rtol': 0, **tolerance})
    gradients = {k: g.double() for k, g in actual['grad'].items() if g is not None}
    assert [k for k in actual['grad'] if k not in gradients] == expected['grad_none']
    assert set(gradients) == set(expected['grad_l2'])
    for key, norm in expected['grad_l2'].items():
        if norm > 1e-6:
            np.testing.assert_allclose(golden.numbers(gradients[key].norm()), norm, rtol=1e-3, err_msg=key)
    total = torch.stack([g.norm() for g in gradients.values()]).norm()
    np.testing.assert_allclose(golden.numbers(total), expected['grad_global_l2'], rtol=1e-4)
    if expected['feat_last_stats'] is not None:
        features = actual['feat_last'].double()
        stats = features.mean(), features.std(correction=0), features.abs().sum(), features.min(), features.max()
        np.testing.assert_allclose(golden.numbers([*stats, features.norm()]), expected['feat_last_stats'], rtol=1e-4,
                                   atol=1e-5)


def split_arrays(entry: str) -> tuple[str, str]:
    if entry.startswith('ce/'):
        return 'ce', entry
    match = re.fullmatch(r'([^/]+/[^/]+/[^/]+/[^/]+)/((?:grad|buf_after)/[\w.]+|feat_last)', entry)
    if not match:
        raise UnknownName('model/recipe/mode/weighting/(grad|buf_after)/<key> or /feat_last')
    check_case_name(match[1])
    return match[1], match[2]


@golden.cases('losses_grads.npz', split=split_arrays)
def test_segmentor_arrays(case: Case) -> None:
    if case.name == 'ce':
        pytest.skip('compared in test_cross_entropy_arrays')
    actual = run(case.name)
    for field in case.fields:
        kind, _, key = field.partition('/')
        value = actual[kind][key] if key else actual[kind]
        if kind != 'grad':
            case.check(field, value, EXACT if value.dtype == torch.int64 else golden.OUTPUT)
        else:
            check_gradient(case, field, key, value)


def check_gradient(case: Case, field: str, key: str, value: Tensor) -> None:
    """Compare a gradient; where it is off, grant what rounding alone does to it.

    A handful of the head's millions of ReLU inputs lie within rounding error of 0; on which side they fall differs
    between any two programs, and each moves the gradients by about 1e-3.
    """
    actual, expected = golden.elements(golden.read_npz(case.file), case.entry(field), value)
    if key.endswith('kv.bias'):  # the keys' half is mathematically zero: noise
        actual, expected = actual[actual.size // 2:], expected[expected.size // 2:]
    off = np.abs(actual - expected) - GRADIENT.rtol * np.abs(expected) - GRADIENT.atol * np.abs(expected).max()
    if off.max() > 0:
        off -= natural_spread(case.name)[key]
    assert off.max() <= 0, f'{case.entry(field)}: off by {off.max():.3g} beyond the tolerance'


@lru_cache(maxsize=1)
def natural_spread(name: str) -> dict[str, float]:
    """By how much any element of each gradient moves when the image is scaled by 1 +- 1e-6, as noise.json has it, or
    when the convolutions are computed by other kernels."""
    reference = run(name)['grad']
    others = [run.__wrapped__(name, scale)['grad'] for scale in (1 + 1e-6, 1 - 1e-6)]
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False, allow_tf32=False):
        others.append(run.__wrapped__(name)['grad'])
    spread = dict.fromkeys(reference, 0.)
    for other in others:
        for key, grad in other.items():
            if grad is not None:
                spread[key] = max(spread[key], float((grad - reference[key]).abs().max()))
    return spread
