"""dev/scaling.py: two processes beside one."""
from __future__ import annotations

import json

import pytest

from dev import scaling
from mmseg.utils import speed


@pytest.mark.slow  # four processes that import torch
def test_two_processes_are_compared_with_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(speed.SIDES, 'cpu', 256)
    out = tmp_path / 'scaling.json'
    scaling.main(['configs/toy/dacs.py', '--size', '64', '64', '--batch', '2', '--iters', '1', '--warmup', '1',
                  '--turns', '1', '--out', str(out)])
    result = json.loads(out.read_text())
    assert result['speedup'] == pytest.approx(result['seconds']['1'] / result['seconds']['2'])
    assert all(len(losses) == 2 and min(losses) > 0 for losses in result['losses'].values())
    assert set(result['exchange']) == {'mib', 'training', '1 MiB', '5 MiB', '25 MiB'}
    assert f'speed-up {result["speedup"]:.2f}' in capsys.readouterr().out


def test_a_batch_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match='--batch 3 cannot be halved'):
        scaling.main(['configs/toy/dacs.py', '--batch', '3'])
