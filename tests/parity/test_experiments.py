"""experiments.py gives the configs that the original generators gave: names, order and values."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments import IN_SYNTHIA, generate_experiment_cfgs
from mmseg.config.reading import load_config
from mmseg.errors import ConfigError
from tests.parity import golden

pytestmark = pytest.mark.parity

CONFIGS = Path(__file__).parents[2] / 'configs'
# SHADE, the domain generalisation branch of HRDA, is not part of this framework.
STYLE = 'style_hallucination_hook'


def cases() -> list[Any]:
    """One case per experiment file, ``<repository>_exp<number>.json``."""
    params = []
    for path in sorted((golden.ROOT / 'experiments').glob('*.json')):
        file, match = f'experiments/{path.name}', re.fullmatch(r'\w+_exp(\d+)', path.stem)
        problem = '' if match else f'{file} is not named <repository>_exp<number>.json'
        if match and not json.loads(path.read_text()):
            problem = f'{file} holds no case'
        case = golden.Case(file, match[1] if match else path.stem, problem=problem)
        params.append(pytest.param(case, id=path.stem, marks=pytest.mark.golden(file)))
    return params or [pytest.param(golden.Case('experiments', 'absent'),
                                   marks=pytest.mark.skip(reason='experiments/*.json is absent'))]


@pytest.mark.parametrize('case', cases())
def test_generated_configs_are_the_recorded_ones(case: golden.Case, tmp_path: Path) -> None:
    expected = golden.read_json(case.file)
    if any(STYLE in cfg for cfg in expected):
        check_refused(int(case.name), expected[0], tmp_path)
        return
    generated = json.loads(json.dumps(generate_experiment_cfgs(int(case.name))))
    assert [cfg['name'] for cfg in generated] == [cfg['name'] for cfg in expected]
    for ours, theirs in zip(generated, expected):
        assert ours == theirs, ours['name']


def check_refused(number: int, cfg: dict[str, Any], folder: Path) -> None:
    """Neither the number nor an old config file of it is taken for something else."""
    with pytest.raises(ValueError, match=f'no experiment {number}'):
        generate_experiment_cfgs(number)
    path = folder / 'experiment.json'
    path.write_text(json.dumps(dict(cfg, _base_=[str(CONFIGS / base) for base in cfg['_base_']])))
    with pytest.raises(ConfigError, match='SHADE'):
        load_config(path)


BANK = dict(preset='dida_code', bank=None, size=300, weight=0.5, smoothing=1.0)


@pytest.mark.parametrize('number, file, seed, bank', [
    (70, 'daformer_exp6', 0, BANK), (71, 'daformer_exp7', 2, dict(BANK, classes=IN_SYNTHIA))])
def test_experiments_of_dida_add_the_bank_to_what_its_program_trained(
        number: int, file: str, seed: int, bank: dict[str, Any], tmp_path: Path) -> None:
    """Its two runs are DAFormer's, as recorded, with 25 evaluations and a checkpoint for each; 50 of them stay."""
    name = re.compile(rf'\w+2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s{seed}')
    [theirs] = [cfg for cfg in golden.read_json(f'experiments/{file}.json') if name.fullmatch(cfg['name'])]
    theirs['checkpoint_config'].update(interval=1600, max_keep_ckpts=50)
    theirs['evaluation']['interval'] = 1600
    [ours] = json.loads(json.dumps(generate_experiment_cfgs(number)))
    first, second = (resolved(cfg, tmp_path / f'{i}.json') for i, cfg in enumerate((ours, theirs)))
    assert first['uda'].pop('instance_bank') == bank
    assert first.pop('exp') == number and second.pop('exp') != number
    for key in ('name', 'name_uda'):
        assert first.pop(key).replace('_dida', '') == second.pop(key)
    assert first == second


def resolved(cfg: dict[str, Any], path: Path) -> dict[str, Any]:
    """A generated config, merged with its base files."""
    path.write_text(json.dumps(dict(cfg, _base_=[str(CONFIGS / base) for base in cfg['_base_']])))
    return load_config(path).to_dict()
