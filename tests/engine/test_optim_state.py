"""Nothing reaches an optimizer but what it would keep itself: its kernels trust sizes and types."""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmseg.engine.optim import build_optimizer
from mmseg.engine.optim_state import load_optimizer_state, optimizer_state
from mmseg.errors import CheckpointError

NAME = '0.weight'  # of the parameter whose state is changed


def trained(**optimizer: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and its optimizer after a step; the last layer took no part in it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 1), nn.Linear(2, 2))
    built = build_optimizer(model, dict(dict(type='AdamW', lr=0.1), **optimizer))
    model[1](model[0](torch.randn(1, 2, 5, 5))).square().sum().backward()
    built.step()
    return model, built


KINDS = [dict(), dict(amsgrad=True), dict(type='SGD'), dict(type='SGD', momentum=0.9), dict(type='NAdam'),
         dict(type='Adagrad'), dict(type='Adafactor'), dict(type='RMSprop', momentum=0.9)]


@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_a_state_is_taken_over_bit_by_bit_in_memory_of_its_own(kind: dict) -> None:
    saved, (_, fresh) = optimizer_state(trained(**kind)[1]), trained(**kind)
    fresh.state.clear()
    load_optimizer_state(fresh, copy.deepcopy(saved))
    again = optimizer_state(fresh)
    assert again['param_groups'] == saved['param_groups'] and again['without_state'] == saved['without_state']
    assert again['state'].keys() == saved['state'].keys()
    for index, entry in saved['state'].items():
        assert all(torch.equal(value, again['state'][index][key]) for key, value in entry.items())
    pointers = [value.data_ptr() for entry in fresh.state.values() for value in entry.values()]
    assert len(set(pointers)) == len(pointers)


CHANGES: dict[str, Callable[[dict], Any]] = {
    'too small': lambda s: s.update(exp_avg=s['exp_avg'][:1].clone()),
    'empty': lambda s: s.update(exp_avg=torch.zeros(0)),
    'flat': lambda s: s.update(exp_avg_sq=s['exp_avg_sq'].flatten()),
    'other type': lambda s: s.update(exp_avg=s['exp_avg'].half()),
    'whole numbers': lambda s: s.update(exp_avg=s['exp_avg'].long()),
    'no tensor': lambda s: s.update(exp_avg=None),
    'a list': lambda s: s.update(exp_avg=s['exp_avg'].tolist()),
    'missing': lambda s: s.pop('exp_avg_sq'),
    'all missing': lambda s: s.clear(),
    'one too many': lambda s: s.update(max_exp_avg_sq=s['exp_avg'].clone()),
    'steps': lambda s: s.update(step=torch.zeros(3)),
    'steps as a number': lambda s: s.update(step=1),
    'NaN': lambda s: s['exp_avg'].fill_(float('nan')),
    'negative squares': lambda s: s['exp_avg_sq'].fill_(-1),
    'negative count': lambda s: s['step'].fill_(-1),
}


@pytest.mark.parametrize('change', CHANGES)
def test_what_the_optimizer_would_not_keep_is_refused_by_the_name_of_the_parameter(change: str) -> None:
    model, optimizer = trained()
    saved = copy.deepcopy(optimizer_state(optimizer))
    CHANGES[change](saved['state'][0])
    before = copy.deepcopy(optimizer.state_dict()['state'])
    with pytest.raises(CheckpointError, match=rf'the optimizer state of {NAME}\b'):
        load_optimizer_state(optimizer, saved)
    after = optimizer.state_dict()['state']
    assert all(torch.equal(after[i][key], value) for i, entry in before.items() for key, value in entry.items())


def test_an_expanded_view_gets_memory_of_its_own() -> None:
    """Read from a file it is refused earlier; here it must not let the kernel write behind its end."""
    _, optimizer = trained()
    saved = copy.deepcopy(optimizer_state(optimizer))
    saved['state'][0]['exp_avg'] = torch.zeros(1).expand(saved['state'][0]['exp_avg'].shape)
    load_optimizer_state(optimizer, saved)
    assert next(iter(optimizer.state.values()))['exp_avg'].is_contiguous()


@pytest.mark.parametrize('change', [
    lambda s: s.pop('state'), lambda s: s.update(state=[1]), lambda s: s.pop('param_groups'),
    lambda s: s.update(param_groups={}), lambda s: s.update(param_groups=[1]),
    lambda s: s['param_groups'][0].pop('names'), lambda s: s['param_groups'][0].update(names=np.zeros(3)),
    lambda s: s['param_groups'][0].update(names=torch.zeros(3)),
])
def test_another_structure_is_refused(change: Callable[[dict], Any]) -> None:
    _, optimizer = trained()
    saved = copy.deepcopy(optimizer_state(optimizer))
    change(saved)
    for wrong in (saved, None, [1], 'text'):
        with pytest.raises(CheckpointError, match='parameter groups'):
            load_optimizer_state(optimizer, wrong)


def test_a_parameter_may_lack_moments_only_where_it_had_no_gradient() -> None:
    _, optimizer = trained()
    saved = copy.deepcopy(optimizer_state(optimizer))
    assert saved['without_state'] == ['2.weight', '2.bias']
    del saved['state'][0]
    with pytest.raises(CheckpointError, match=rf'{NAME} holds nothing instead of step, exp_avg, exp_avg_sq'):
        load_optimizer_state(optimizer, saved)


@pytest.mark.parametrize('names', [torch.zeros(0), torch.zeros(7, 7), None, 'text', [1], [np.zeros(3)]])
def test_any_list_of_parameters_without_moments_is_safe(names: Any) -> None:
    _, optimizer = trained()
    saved = dict(copy.deepcopy(optimizer_state(optimizer)), without_state=names)
    with pytest.raises(CheckpointError, match=r'2\.weight holds nothing'):
        load_optimizer_state(optimizer, saved)


def test_another_optimizer_is_named_as_the_reason() -> None:
    saved = copy.deepcopy(optimizer_state(trained()[1]))
    with pytest.raises(CheckpointError, match='instead of momentum_buffer.*--load-from'):
        load_optimizer_state(trained(type='SGD', momentum=0.9)[1], saved)
