"""tools/benchmark.py: what its JSON says about the training step and inference."""
from __future__ import annotations

import json

import pytest

from mmseg.utils import speed
from tools import benchmark

CONFIG = 'configs/toy/dacs.py'
SMALL = ['--device', 'cpu', '--size', '64', '64', '--iters', '2']


@pytest.fixture(autouse=True)
def small_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asserted here does not need a steady machine."""
    monkeypatch.setitem(speed.SIDES, 'cpu', 256)


@pytest.mark.parametrize('extra', [[], ['--amp', 'bfloat16']])
def test_training_step(tmp_path, extra):
    out = tmp_path / 'result.json'
    benchmark.main([CONFIG, *SMALL, '--batch', '1', *extra, '--out', str(out)])
    result = json.loads(out.read_text())
    assert len(result['seconds_each']) == 2 and result['images_per_second'] > 0
    assert result['peak_memory_mib'] > 0 and len(result['sgemm_gflops']) == 2
    shares = result['phase_percent']
    assert {'data', 'source', 'teacher', 'mix', 'optimizer', 'ema'} <= set(shares)
    assert sum(shares.values()) == pytest.approx(100, abs=5)
    assert result['arithmetic_floor_seconds'] < result['median_seconds']


@pytest.mark.parametrize('view, phase', [('target', 'target'), ('mix', 'mix')])
def test_training_step_with_mrm(view, phase):
    result = benchmark.main(['configs/toy/dacs_mrm.py', *SMALL, '--options', f'uda.mrm.view={view}'])
    assert result['peak_memory_mib'] > 0 and phase in result['phase_percent']


def test_inference():
    result = benchmark.main([CONFIG, *SMALL, '--mode', 'infer'])
    assert result['images_per_second'] > 0


@pytest.mark.parametrize('extra', [[], ['--amp', 'bfloat16']])
def test_prediction_of_files_beside_the_network_alone(extra):
    result = benchmark.main([CONFIG, *SMALL, '--mode', 'predict', *extra])
    assert result['images'] == 2
    assert result['share_of_network'] == pytest.approx(
        result['images_per_second'] / result['network_images_per_second'])
    assert all(len(result['seconds'][what]) == 3 for what in ('network', 'files'))


@pytest.mark.parametrize('mode, flag', [('infer', '--compile'), ('predict', '--batch=2'), ('data', '--amp=bfloat16')])
def test_flags_without_effect_are_refused(mode, flag, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([CONFIG, '--mode', mode, flag])
    assert f'{flag.split("=")[0]} has no effect with --mode {mode}' in capsys.readouterr().err
