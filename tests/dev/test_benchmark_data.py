"""dev/benchmark_data.py: what its JSON says."""
from __future__ import annotations

import json

from dev import benchmark_data


def test_rates_without_and_with_cache(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(benchmark_data, 'SIZES', dict(source=(526, 957), target=(512, 1024)))
    out = tmp_path / 'result.json'
    benchmark_data.main(['configs/_base_/datasets/uda_gta_to_cityscapes_512x512.py', '--mib', '0.7', '--num', '2',
                         '--iters', '3', '--out', str(out)])
    result = json.loads(out.read_text())
    assert all(0.6 < mib < 0.8 for mib in result['png_mib'].values())
    for kind in ('source', 'target', 'pairs'):
        for how in ('plain', 'cached'):
            assert result[how][kind]['per_second'] > 0 and result[how][kind]['per_processor_second'] > 0
            assert len(result[how][kind]['seconds_each']) == 3
    assert len(result['checksum']['seconds_each']) == 3
    for domain in ('source', 'target'):  # decoding is part of what a sample takes; small files leave much for the rest
        assert result['decoding'][domain]['per_processor_second'] > result['plain'][domain]['per_processor_second']
    pairs = result['plain']['pairs']['per_processor_second']
    assert f'workers for 10 steps a second of 2 pairs: {20 / pairs:.1f}, with cache' in capsys.readouterr().out
