"""dev/operator_times.py: what its table and its JSON say."""
from __future__ import annotations

import json

import pytest

from dev import operator_times
from mmseg.utils import speed


@pytest.mark.parametrize('mode', ['train', 'infer'])
def test_the_longest_operators_come_first_with_their_shapes(tmp_path, monkeypatch, capsys, mode):
    monkeypatch.setitem(speed.SIDES, 'cpu', 256)
    out = tmp_path / 'times.json'
    operator_times.main(['configs/toy/dacs.py', '--mode', mode, '--size', '64', '64', '--warmup', '0', '--rows', '12',
                         '--out', str(out)])
    result = json.loads(out.read_text())
    rows = result['operators']
    assert len(rows) == 12
    assert [row['ms'] for row in rows] == sorted((row['ms'] for row in rows), reverse=True)
    assert 0 < sum(row['ms'] for row in rows) <= 1e3 * result['seconds_in_operators']
    assert ('convolution_backward' in {row['operator'] for row in rows}) == (mode == 'train')
    assert f'| {rows[0]["operator"]} | {rows[0]["shapes"]} |' in capsys.readouterr().out
