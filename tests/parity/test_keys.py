"""State-dict keys, shapes and parameter counts of every model, so that published checkpoints load by name."""
from __future__ import annotations

from functools import cache

import pytest
from torch import nn

from mmseg.models.outline import without_values
from tests.parity import golden, model_zoo

pytestmark = pytest.mark.parity


@cache
def build(name: str) -> nn.Module:
    with without_values():
        return build_on_current_device(name)


def build_on_current_device(name: str) -> nn.Module:
    if name.startswith('backbone_'):
        return model_zoo.backbone(name.removeprefix('backbone_'))
    if model_zoo.UDA.fullmatch(name):
        return model_zoo.train_model(name)
    return model_zoo.segmentor(name)


def check_counts(model: nn.Module, expected: dict) -> None:
    assert len(model.state_dict()) == expected['n_keys']
    assert sum(p.numel() for p in model.parameters()) == expected['n_params_total']
    assert sum(b.numel() for b in model.buffers()) == expected['n_buffers']


@golden.cases('keys_*.json', without='keys_summary.json', split=lambda entry: ('all', entry))
def test_keys(case: golden.Case) -> None:
    expected = golden.read_json(case.file)
    model = build(expected['model'])
    actual = [[key, list(value.shape)] for key, value in model.state_dict().items()]
    assert actual == expected['keys']
    check_counts(model, expected)


@golden.cases('keys_summary.json')
def test_counts(case: golden.Case) -> None:
    check_counts(build(case.name), golden.read_json(case.file)[case.name])
