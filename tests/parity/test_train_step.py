"""Whole training iterations against the original programs: losses, gradients, weights, running statistics."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity import golden, steps
from tests.parity.golden import Tolerance, UnknownName

CASE = re.compile(
    r'(?P<mic>mic_)?dacs(?P<nofd>_nofd)?_(?P<network>daformer|hrda)_b0(?P<featall>_featall_lr(?P<lr>[\d.]+))?'
    r'/(?P<recipe>[AB])(?:/(?P<mode>nomask|separate(?:trg)?)(?P<own>_ownteacher_alpha0)?)?/thr(?P<threshold>[\d.]+)')
BOXES = [(24, 152, 40, 168), (64, 192, 0, 128), (120, 248, 104, 232)]
MASK_KEEP = np.random.RandomState(703).random_sample((2, 1, 4, 4)) > 0.7
# README section 5, by iteration; the last entry holds for all that follow
LOSS_RTOL = (1e-5, 2e-4, 1e-3, 3e-3)
# for weights it says nothing: as outputs in iteration 0, then the 1 % that it allows for gradients
WEIGHTS = (golden.OUTPUT, Tolerance(1e-2, 1e-2))


def parse(name: str) -> re.Match:
    match = CASE.fullmatch(name)
    if not match:
        raise UnknownName(f'training step {name!r}')
    return match


def split_json(name: str) -> tuple[str, str]:
    parse(name)
    return name, ''


def split_npz(name: str) -> tuple[str, str]:
    if name == 'mic/grid_keep_seed703':
        return name, ''
    match = re.match(r'(.+?/thr[\d.]+)/(.+)', name)
    if not match:
        raise UnknownName('no training step')
    parse(match[1])
    if not re.match(r'after_iter\d+/(ema_)?model\.', match[2]):
        raise UnknownName(f'field {match[2]}')
    return match[1], match[2]


def make_config(match: re.Match) -> dict[str, Any]:
    hrda = match['network'] == 'hrda'
    crop = '_crop256' if match['featall'] else '_crop128'
    name = f"{match['network']}_b0" + (crop if hrda else '') + (f"_lr{match['lr']}_featall" if match['featall'] else '')
    uda = steps.uda_config(float(match['threshold']), alpha=0.99 if match['nofd'] else 0.999)
    if not match['nofd']:
        uda.update(steps.FEATURE_DISTANCE)
    if not (match['nofd'] or hrda):
        uda.update(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=20)
    if match['mic']:
        uda.update(mask_mode=match['mode'], mask_lambda=1,
                   mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=64 if hrda else 32))
        if match['own']:
            uda.update(mask_alpha=0)
    return steps.make_config(name, uda)


def make_batch(match: re.Match) -> dict[str, Any]:
    hrda = match['network'] == 'hrda'
    side, block = (256, 64) if hrda else (128, 32)
    batch = steps.make_batch(2, side, block)
    if hrda and not match['nofd']:  # plain DACS has no margins
        valid = torch.zeros(2, 1, side, side, dtype=torch.uint8)
        valid[:, :, 12:-40, 8:-8] = 1
        batch['valid_pseudo_mask'] = valid
    return batch


def fix_draws(host: Any, chosen: list[list[int]], match: re.Match, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace each draw by the recorded one."""
    steps.fix_classes(chosen, monkeypatch)
    if match['network'] == 'hrda':
        side = 256
        order = iter([(0, side, 0, side)] * 100 if match['featall'] else (BOXES[:3 if match['mic'] else 2]) * 100)
        monkeypatch.setattr(host.model, 'draw_box', lambda *_: next(order))
    if match['mic']:
        keep = golden.tensor(MASK_KEEP)
        monkeypatch.setattr('mmseg.models.uda.masked_consistency.draw_mask_grid', lambda *_: keep)


def make_run(name: str, iterations: int, chosen: list[list[int]], monkeypatch: pytest.MonkeyPatch,
             scale: float = 1.) -> steps.Run:
    """A run of the recorded step; ``scale`` multiplies the images of both domains."""
    match = parse(name)
    cfg = make_config(match)
    host = steps.build_host(cfg, match['recipe'])
    fix_draws(host, chosen, match, monkeypatch)
    batch = make_batch(match)
    batch.update({key: batch[key] * scale for key in ('img', 'target_img')})
    return steps.Run(host, cfg, batch, iterations, monkeypatch)


@pytest.fixture(scope='module')
def runs() -> dict[str, steps.Run]:
    """Those that were made, by the name of their case."""
    return {}


def get_run(case: golden.Case, runs: dict[str, steps.Run],
            monkeypatch: pytest.MonkeyPatch) -> tuple[steps.Run, dict[str, Any]]:
    """The run of a case, made once for its JSON and NPZ tests."""
    expected = golden.recorded(case.file.replace('.npz', '.json'), case.name)
    if case.name not in runs:
        runs[case.name] = make_run(case.name, len(expected['iters']), expected['class_choice'], monkeypatch)
    return runs[case.name], expected


JSON_FIELDS = {'log_vars', 'num_samples', 'grad_global_l2', 'n_params_with_grad', 'grad_l2_selected', 'grad_l2_all',
               'param_l2_student', 'param_l2_teacher', 'mix'}


@pytest.mark.parity
@golden.cases('train_step_*.json', split=split_json)
def test_losses_and_gradients(case: golden.Case, runs: dict[str, steps.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run, expected = get_run(case, runs, monkeypatch)
    assert set(expected) <= {'iters', 'unique_labels', 'class_choice', 'pseudo_threshold'}
    for i, (actual, wanted) in enumerate(zip(run.iterations, expected['iters'])):
        assert set(wanted) <= JSON_FIELDS
        assert set(wanted['log_vars']) <= set(actual['logs'])
        for name, value in wanted['log_vars'].items():
            if 'loss' in name:
                assert actual['logs'][name] == pytest.approx(value, rel=steps.by_iteration(LOSS_RTOL, i)), (i, name)
            else:
                assert abs(actual['logs'][name] - value) <= (0.02 if i == 0 else 0.2), (i, name)
        assert len(actual['grads']) == wanted['n_params_with_grad']
        total = steps.global_norm(actual['grads'])
        assert total == pytest.approx(wanted['grad_global_l2'], rel=1e-4 if i == 0 else 1e-2), i
        assert actual['total']['model'] == pytest.approx(wanted['param_l2_student'], rel=1e-5)
        assert actual['total']['ema_model'] == pytest.approx(wanted['param_l2_teacher'], rel=1e-5)
        for name, value in wanted['mix'].items():
            assert run.mixes[i][name] == pytest.approx(value, rel=1e-5 if i == 0 else 1e-2), (i, name)
        if 'grad_l2_all' in wanted:
            assert i == 0
            check_gradient_norms(case, expected, actual['grads'], wanted['grad_l2_all'], monkeypatch)


def check_gradient_norms(case: golden.Case, expected: dict[str, Any], actual: dict[str, float],
                         wanted: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Norm of each gradient within 0.1 %, or as near as the run is to itself with images scaled by 1 +- 1e-6.

    That scaling is how the recordings measured their own spread (noise.json): a ReLU whose input is zero up to rounding
    falls on either side and moves small gradients of recipe B by more than 0.1 %.
    """
    far = {name for name, norm in wanted.items() if norm > 1e-6 and abs(actual[name] - norm) > 1e-3 * norm}
    if not far:
        return
    scaled = [make_run(case.name, 1, expected['class_choice'], monkeypatch, scale).iterations[0]['grads']
              for scale in (1 - 1e-6, 1 + 1e-6)]
    for name in far:
        spread = max(abs(run[name] - actual[name]) for run in scaled)
        assert abs(actual[name] - wanted[name]) <= 1e-3 * wanted[name] + spread, name
    assert len(far) <= 0.05 * len(wanted), f'too many gradients differ: {sorted(far)}'


@pytest.mark.parity
@golden.cases('train_step_*.npz', split=split_npz)
def test_weights_and_statistics(case: golden.Case, runs: dict[str, steps.Run],
                                monkeypatch: pytest.MonkeyPatch) -> None:
    if case.name == 'mic/grid_keep_seed703':
        np.testing.assert_array_equal(MASK_KEEP, case.array(''))
        return
    run, _ = get_run(case, runs, monkeypatch)
    steps.check_arrays(case, run.iterations, list(case.fields), WEIGHTS)
