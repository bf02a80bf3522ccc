"""Learning rates by iteration, and initial rate and weight decay of every parameter, against lr_schedule.json."""
from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest

from mmseg.engine.optim import parameter_rule
from mmseg.engine.schedule import LearningRate
from tests.parity.golden import ROOT, Case, UnknownName, cases, read_json

FILE = 'lr_schedule.json'
RELATIVE = 1e-9
NUMBER = r'\d[\d.]*(?:e-?\d+)?'
SCHEDULE = re.compile(rf'(?P<policy>poly10warm|poly10_nowarmup)(?:_minlr(?P<min_lr>{NUMBER}))?_lr(?P<lr>{NUMBER})'
                      r'(?:_max(?P<max_iters>\d+))?')
OPTIMIZER = re.compile(rf'(?P<kind>adamw|sgd)(?P<lr>{NUMBER})?(?:_(?P<policy>poly10warm))?_(?P<uda>dacs_)?'
                       r'(?P<head>\w+?)_(?P<backbone>b\d|r\d+)(?P<rules>_headmult_only|_nomult)?')
WARMUP = dict(warmup='linear', warmup_iters=1500, warmup_ratio=1e-6)
HEAD = dict(head=dict(lr_mult=10.))
RULES = {
    None: dict(norm=dict(decay_mult=0.), pos_block=dict(decay_mult=0.), **HEAD),
    '_headmult_only': HEAD,
    '_nomult': {},
}
DEFAULTS = dict(adamw=dict(type='AdamW', lr=6e-5, betas=[0.9, 0.999], weight_decay=0.01, eps=1e-8),
                sgd=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked')


def close(value: float) -> Any:
    return pytest.approx(value, rel=RELATIVE, abs=0)


def understood(entry: str) -> tuple[str, str]:
    if not (SCHEDULE.fullmatch(entry) or OPTIMIZER.fullmatch(entry)):
        raise UnknownName('neither a schedule nor an optimizer')
    return entry, ''


def lr_config(policy: str, min_lr: str | None = None) -> dict[str, Any]:
    warmup = WARMUP if policy.endswith('warm') else {}
    return dict(policy='poly', power=1., min_lr=float(min_lr or 0), by_epoch=False, **warmup)


def optimizer_of(case: Case) -> dict[str, Any]:
    match = OPTIMIZER.fullmatch(case.name)
    cfg = dict(DEFAULTS[match['kind']], paramwise_cfg=dict(custom_keys=RULES[match['rules']]))
    return {**cfg, 'lr': float(match['lr'])} if match['lr'] else cfg


def parameter_names(case: Case) -> list[str]:
    """All parameters of the recorded network, from the file with its keys."""
    match = OPTIMIZER.fullmatch(case.name)
    backbone = f'mit{match["backbone"]}' if match['backbone'].startswith('b') else f'{match["backbone"]}v1c'
    file = f'keys_{"dacs_a999_fdthings_" if match["uda"] else ""}{match["head"]}_{backbone}.json'
    if not (ROOT / file).exists():
        return []
    return [key for key, _ in read_json(file)['keys'] if not key.endswith(BUFFERS)]


def groups_of(case: Case, names: list[str]) -> dict[tuple[float, float], list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[parameter_rule(name, optimizer_of(case))].append(name)
    return groups


def check_groups(case: Case, expected: list[dict[str, Any]]) -> None:
    groups = groups_of(case, parameter_names(case))
    for group in expected:
        assert set(group) == {'initial_lr', 'weight_decay', 'n_params', 'example'}, 'field not understood'
        rule = (close(group['initial_lr']), close(group['weight_decay']))
        for name in group['example']:
            assert parameter_rule(name, optimizer_of(case)) == rule, name
        if groups:
            found = groups[parameter_rule(group['example'][0], optimizer_of(case))]
            assert len(found) == group['n_params']
            assert found[:len(group['example'])] == group['example']
    assert not groups or len(groups) == len(expected)


def check_parameters(case: Case, expected: list[list[Any]]) -> None:
    for name, lr, decay, *trainable in expected:
        assert trainable in ([], [True], [False]), f'{name}: field not understood'
        rule = parameter_rule(name, optimizer_of(case))
        assert rule == (close(lr), close(decay)), name


def check_rates(case: Case, expected: dict[str, dict[str, list[float]]]) -> None:
    schedule = LearningRate(lr_config(OPTIMIZER.fullmatch(case.name)['policy']), max_iters=40000)
    for iteration, by_initial in expected.items():
        for initial, rates in by_initial.items():
            for rate in rates:
                assert schedule(float(initial), int(iteration)) == close(rate), iteration


def check_optimizer(case: Case, field: str, expected: Any) -> None:
    cfg = optimizer_of(case)
    if field == 'n_param_groups':
        names = parameter_names(case)
        # the originals give each parameter a group of its own, if there is a rule at all
        assert not names or expected == (len(names) if cfg['paramwise_cfg']['custom_keys'] else 1)
    elif field == 'lr_config':
        assert lr_config(OPTIMIZER.fullmatch(case.name)['policy']) == expected
    elif field == 'max_iters':
        assert expected == 40000
    elif field in ('optimizer', 'base_lr', 'betas', 'eps', 'momentum', 'weight_decay'):
        assert cfg[dict(optimizer='type', base_lr='lr').get(field, field)] == expected
    else:
        pytest.fail(f'{case.name}: field {field!r} is not understood')


@pytest.mark.parity
@cases(FILE, split=understood)
def test_learning_rates_and_parameter_rules(case: Case) -> None:
    recorded = read_json(FILE)[case.name]
    schedule = SCHEDULE.fullmatch(case.name)
    if schedule:
        rate = LearningRate(lr_config(schedule['policy'], schedule['min_lr']), int(schedule['max_iters'] or 40000))
        for iteration, expected in recorded.items():
            assert rate(float(schedule['lr']), int(iteration)) == close(expected), iteration
        return
    checks = dict(groups=check_groups, param_to_initial_lr_and_wd=check_parameters,
                  lr_by_iter_per_initial_lr=check_rates)
    for field, expected in recorded.items():
        if field in checks:
            checks[field](case, expected)
        else:
            check_optimizer(case, field, expected)
