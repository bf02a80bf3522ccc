"""tools/print_config.py and tools/get_param_count.py."""
from __future__ import annotations

import re
import runpy
import sys
import warnings
from pathlib import Path

import pytest

from mmseg.apis import load_config
from mmseg.models import build_segmentor
from tools import get_param_count, print_config

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / 'configs/toy/daformer.py')


def test_the_printed_config_loads_as_the_same_config(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    print_config.main([CONFIG, '--options', 'data.samples_per_gpu=7', 'model.decode_head.channels=8'])
    path = tmp_path / 'printed.py'
    path.write_text(capsys.readouterr().out)
    printed, original = load_config(path), load_config(CONFIG)
    assert printed.data.samples_per_gpu == 7 and printed.model.decode_head.channels == 8
    original.data.samples_per_gpu, original.model.decode_head.channels = 7, 8
    assert printed.to_dict() == original.to_dict()


def test_old_spellings_are_printed_translated(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / 'old.py'
    path.write_text(f"_base_ = {CONFIG!r}\nmodel = dict(decode_head=dict(type='UniHead'))\n")
    print_config.main([str(path)])
    printed = capsys.readouterr().out
    assert 'DAFormerHead' in printed and 'UniHead' not in printed


@pytest.mark.parametrize('config', ['toy/daformer.py', '_base_/models/daformer_sepaspp_bottleneck_mitb5.py'])
def test_parameters_are_counted_part_by_part(config: str, capsys: pytest.CaptureFixture) -> None:
    config = str(ROOT / 'configs' / config)
    get_param_count.main([config, CONFIG])
    printed = capsys.readouterr().out
    model = build_segmentor(dict(load_config(config).model, pretrained=None))
    for part in ('backbone', 'decode_head'):
        number = sum(p.numel() for p in getattr(model, part).parameters())
        assert re.search(rf'{part} +\| +{number:,} ', printed)
    assert re.search(rf'total +\| +{sum(p.numel() for p in model.parameters()):,} +\| +100.0 %', printed)
    assert ('neck' in printed) == model.with_neck
    assert config in printed and CONFIG in printed and printed.count('total') == 2


def test_options_change_the_count() -> None:
    counts = [get_param_count.count(load_config(CONFIG, options).model)
              for options in (None, {'model.decode_head.num_classes': 20})]
    assert counts[1]['total'] - counts[0]['total'] == 65  # 64 weights and a bias


@pytest.mark.parametrize('program, config, message', [
    ('get_param_count', 'configs/_base_/models/segformer.py', 'IMTRv21_5 is not in the'),
    ('get_param_count', 'configs/_base_/schedules/adamw.py', 'no model section'),
    ('get_param_count', 'absent.py', 'absent.py does not exist'),
    ('print_config', 'configs/toy/dacs.pi', 'dacs.pi does not exist'),
])
def test_errors_are_one_message(program: str, config: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', [program, config])
    with pytest.raises(SystemExit) as stopped, warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # the module has been imported above
        runpy.run_module(f'tools.{program}', run_name='__main__')
    assert stopped.value.code.startswith('error: ') and message in stopped.value.code
    assert '\n' not in stopped.value.code
