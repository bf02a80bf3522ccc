"""Entropy balancing against the published program: loss and gradient of given logits."""
from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from mmseg.models.uda import entropy_balance
from tests.parity import golden
from tests.parity.golden import Tolerance, UnknownName

pytestmark = pytest.mark.parity

CASE = re.compile(r'C(?P<classes>\d+)/(?:scale(?P<scale>\d+)|(?P<uniform>uniform)|(?P<constant>constant7)'
                  r'|onehot_gap(?P<gap>\d+))')
TOLERANCES = dict(grad=Tolerance(1e-4, 1e-5), entropy=Tolerance(1e-5, 1e-6))
SEEDS = {19: 900, 11: 901}


def parse(name: str) -> re.Match:
    match = CASE.fullmatch(name)
    if not match or int(match['classes']) not in SEEDS:
        raise UnknownName(f'entropy of {name!r}')
    return match


def split_json(entry: str) -> tuple[str, str]:
    parse(entry.removeprefix('ebda/loss/'))
    return entry, ''


def split_npz(entry: str) -> tuple[str, str]:
    name, _, field = entry.rpartition('/')
    parse(name.removeprefix('ebda/loss/'))
    if field not in TOLERANCES:
        raise UnknownName(f'field {field}')
    return name, field


def make_logits(match: re.Match) -> Tensor:
    classes = int(match['classes'])
    if match['scale']:
        return int(match['scale']) * golden.rnd(SEEDS[classes], (2, classes, 20, 28))
    if match['gap']:
        pixel = torch.arange(2 * 4 * 5, device=golden.DEVICE).view(2, 4, 5) % classes
        return int(match['gap']) * torch.nn.functional.one_hot(pixel, classes).permute(0, 3, 1, 2).float()
    return torch.full((2, classes, 4, 5), 0. if match['uniform'] else 7., device=golden.DEVICE)


def compute(match: re.Match) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy map, loss without its weight, and gradient of the weighted loss."""
    logits = make_logits(match).requires_grad_()
    entropy = entropy_balance.entropy(logits)
    loss = entropy_balance.region_mean((entropy - entropy_balance.TARGET)**2, None)
    (0.1 * loss).backward()
    return entropy.detach(), loss.detach(), logits.grad


@golden.cases('dida_ebda.json', split=split_json, only='ebda/loss', levels=3)
def test_numbers(case: golden.Case) -> None:
    name = case.name.removeprefix('ebda/loss/')
    wanted = golden.read_json(case.file)['ebda']['loss'][name]
    entropy, loss, gradient = compute(parse(name))
    assert list(gradient.shape) == wanted['shape']
    assert gradient.isfinite().all() and wanted['grad_finite']
    exact = wanted['double_precision']
    # the published program takes logarithms of clamped probabilities, which shows where it is confident
    expected = exact if exact['grad_l2'] < 1e-6 else wanted
    assert entropy.mean().item() == pytest.approx(expected['mean_entropy'], rel=1e-5, abs=1e-6)
    assert entropy.min().item() == pytest.approx(wanted['min_entropy'], rel=1e-5, abs=1e-6)
    assert entropy.max().item() == pytest.approx(wanted['max_entropy'], rel=1e-5, abs=1e-6)
    assert loss.item() == pytest.approx(wanted['loss_unweighted'], rel=1e-5)
    assert 0.1 * loss.item() == pytest.approx(expected['loss'], rel=1e-5)
    assert gradient.double().norm().item() == pytest.approx(expected['grad_l2'], rel=1e-4, abs=1e-16)
    assert gradient.abs().max().item() == pytest.approx(expected['grad_absmax'], rel=1e-4, abs=1e-16)


@golden.cases('dida_ebda.npz', split=split_npz, only='ebda/loss')
def test_maps(case: golden.Case) -> None:
    entropy, _, gradient = compute(parse(case.name.removeprefix('ebda/loss/')))
    for field in case.fields:
        case.check(field, dict(grad=gradient, entropy=entropy)[field], TOLERANCES[field])
