"""What the two objectives of DIDA share, and the table that chooses one."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.models.uda import InstanceBank, PublishedInstanceBank
from mmseg.models.uda.dida.base import PRESETS, InstanceObjective
from mmseg.models.uda.dida.memory_bank import write_bank
from mmseg.registry import OBJECTIVES
from tests.models.uda.conftest import make_host


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_bank(tmp_path, torch.rand(6, 16), torch.arange(6) % 5)
    return str(tmp_path)


def test_the_table_names_the_presets_and_neither_objective_is_a_kind_of_the_other() -> None:
    assert PRESETS == dict(cosine=InstanceBank, dida=InstanceBank, dida_code=PublishedInstanceBank)
    for cls in PRESETS.values():
        assert cls.__bases__ == (InstanceObjective, )


def test_only_one_is_registered_and_builds_them_all() -> None:
    assert [cls for cls in OBJECTIVES.module_dict.values() if issubclass(cls, InstanceObjective)] == [InstanceBank]


def test_objectives_act_in_a_fixed_order() -> None:
    """The order in which losses are added up decides the last bit of gradients."""
    ours = [name for name, cls in OBJECTIVES.module_dict.items() if cls.__module__.startswith('mmseg.')]
    assert ours == [
        'EntropyBalance', 'FeatureDistance', 'InstanceBank', 'MaskedConsistency', 'MaskedRepresentation']


@pytest.mark.parametrize('options, kind', [
    ({}, InstanceBank), (dict(preset='cosine'), InstanceBank), (dict(preset='dida'), InstanceBank),
    (dict(preset='dida_code'), PublishedInstanceBank)])
def test_a_preset_builds_its_objective(options: dict[str, Any], kind: type, folder: str) -> None:
    host, _ = make_host(instance_bank=dict(bank=folder, **options))
    assert type(host.instance_bank) is kind
    assert [name for name in host.state_dict() if name.startswith('instance_bank.')] == [
        f'instance_bank.bank.{name}' for name in ('feature', 'label', 'filled', 'pointer')]


def test_an_unknown_preset_gets_a_hint() -> None:
    with pytest.raises(ValueError, match="uda.instance_bank.preset='dida_coed': did you mean 'dida_code'"):
        make_host(instance_bank=dict(preset='dida_coed'))


@pytest.mark.parametrize('options, message', [
    (dict(update='fifo'), "uda.instance_bank has no entry 'update'"), (dict(alpha=0.9), "no entry 'alpha'"),
    (dict(size=0), 'size=0 must be at least 1'),
    (dict(smoothing=2), r'uda.instance_bank: smoothing=2 must lie in \[0, 1\]'),
    (dict(momentum=-1), r'momentum=-1 must lie in \[0, 1\]'), (dict(interval=0), 'interval=0 must be at least 1')])
def test_bad_options_of_the_published_program_are_named(options: dict[str, Any], message: str, folder: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make_host(instance_bank=dict(preset='dida_code', bank=folder, **options))


def test_the_ids_of_its_classes_are_told() -> None:
    assert InstanceBank.class_ids(dict(instance_bank=dict(classes=(2, 0)))) == {'instance_bank.classes': [2, 0]}
    for section in (None, {}, dict(classes=None)):
        assert InstanceBank.class_ids(dict(instance_bank=section)) == {}
