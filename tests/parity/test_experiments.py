"""The configs of the papers' experiments, as the original generators gave them, load over our base files."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmseg.engine.config import ConfigError, load_config
from tests.parity import golden

pytestmark = pytest.mark.parity

CONFIGS = Path(__file__).parents[2] / 'configs'
DAFORMER = CONFIGS / 'daformer' / 'gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
NEVER_EXISTED = ('_base_/models/upernet_r50.py', )  # named by the generators, in none of the repositories
ABOUT = ('name', 'exp', 'name_dataset', 'name_architecture', 'name_encoder', 'name_decoder', 'name_uda', 'name_opt',
         'seed', 'n_gpus', 'gpu_model')


def cases() -> list[Any]:
    """One case per experiment file and setting; seeds and names make no other setting."""
    params = []
    for path in sorted((golden.ROOT / 'experiments').glob('*.json')):
        file = f'experiments/{path.name}'
        settings = {json.dumps(setting(cfg)): cfg['name'] for cfg in json.loads(path.read_text())}
        found = [golden.Case(file, name) for name in settings.values()]
        for case in found or [golden.Case(file, 'empty', problem=f'{file} holds no case')]:
            params.append(pytest.param(case, id=f'{path.stem}:{case.name}', marks=pytest.mark.golden(file)))
    return params or [pytest.param(golden.Case('experiments', 'absent'),
                                   marks=pytest.mark.skip(reason='experiments/*.json is absent'))]


def setting(cfg: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cfg.items() if key not in ABOUT}


def read(file: str, name: str) -> dict[str, Any]:
    return next(cfg for cfg in golden.read_json(file) if cfg['name'] == name)


def load(cfg: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / 'experiment.json'
    path.write_text(json.dumps(dict(cfg, _base_=[str(CONFIGS / base) for base in cfg['_base_']])))
    return load_config(path).to_dict()


def check_holds(actual: Any, expected: Any, key: str) -> None:
    """Every value of the experiment stands in the merged config."""
    if isinstance(expected, dict):
        for name in expected.keys() - {'_delete_'}:
            assert name in actual, f'{key}.{name}'
            check_holds(actual[name], expected[name], f'{key}.{name}')
    elif isinstance(expected, list):
        assert list(actual) == expected, key
    else:
        assert actual == expected, key


@pytest.mark.parametrize('case', cases())
def test_experiments_load(case: golden.Case, tmp_path: Path) -> None:
    cfg = read(case.file, case.name)
    for base in cfg['_base_']:
        if base in NEVER_EXISTED:
            pytest.skip(f'{base} never existed')
    if 'style_hallucination_hook' in cfg:
        with pytest.raises(ConfigError, match='SHADE'):
            load(cfg, tmp_path)
        return
    merged = load(cfg, tmp_path)
    expected = {key: value for key, value in cfg.items() if key != '_base_'}
    (expected.get('uda') or {}).pop('share_src_backward', None)
    check_holds(merged, expected, case.name)
    assert {'model', 'data', 'optimizer', 'lr_config', 'log_config'} <= merged.keys()


def test_the_annotated_daformer_config_is_the_experiment(tmp_path: Path) -> None:
    name = 'gta2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s0'
    experiment = load(read('experiments/daformer_exp6.json', name), tmp_path)
    ours = load_config(DAFORMER).to_dict()
    assert ours['seed'] == experiment['seed'] == 0
    assert setting(ours) == setting(experiment)
