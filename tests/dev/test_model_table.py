"""dev/model_table.py: what is counted, and what becomes of the page around the table."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from dev import model_table
from mmseg.models import build_segmentor
from mmseg.models.layers import QuickConv2d
from tests.models import nets

ROOT = Path(__file__).parents[2]
PAGE = 'before\n<!-- models -->\n<!-- end of models -->\nafter\n'


def rows(page: Path) -> dict[str, list[str]]:
    """Cells behind the name, by name, of the first table of a page."""
    text = '\n' + page.read_text()
    table = text[text.index('\n| ') + 1:].partition('\n\n')[0]
    lines = [line.strip('| ').split(' | ') for line in table.splitlines() if line.startswith('| ')]
    return {cells[0]: cells[1:] for cells in lines[1:]}


class Part(nn.Module):
    """A segmentor of one layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def encode_decode(self, img: torch.Tensor) -> torch.Tensor:
        return self.layer(img)


class Attention(nn.Module):

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        tokens = img[:, :1, :, :8]  # one head, as many tokens as rows
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


@pytest.mark.parametrize('layer, flops_of_side', [
    (lambda: nn.Conv2d(3, 7, 3, padding=1), lambda side: 2 * 9 * 3 * 7 * side**2),
    (lambda: QuickConv2d(3, 3, 3, padding=6, dilation=6, groups=3, bias=False), lambda side: 2 * 9 * 3 * side**2),
    (Attention, lambda side: 2 * 2 * 8 * side**2),
], ids=['convolution', 'dilated depthwise convolution', 'attention'])
def test_what_is_counted(monkeypatch: pytest.MonkeyPatch, layer, flops_of_side) -> None:
    monkeypatch.setattr(model_table, 'build_segmentor', lambda cfg: Part(layer()))
    _, gflops = model_table.count({})
    assert gflops == pytest.approx([flops_of_side(side) / 1e9 for side in model_table.SIZES])


def test_parameters_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_table, 'SIZES', (64, 128))
    cfg = dict(type='EncoderDecoder', backbone=nets.backbone(), decode_head=nets.head())
    parameters, gflops = model_table.count(cfg)
    assert parameters * 1e6 == sum(p.numel() for p in build_segmentor(cfg).parameters())
    assert 0 < 4 * gflops[0] <= gflops[1]


def test_the_page_has_a_current_row_for_every_model_config() -> None:
    table = rows(ROOT / 'docs/models.md')
    files = {path.stem for path in (ROOT / 'configs/_base_/models').glob('*.py')}
    assert {name.removesuffix(' (MiT-B5)') for name in table} == files | {'hrda/gtaHR2csHR_hrda'}
    for name in ('daformer_conv1_mitb0_ch64', 'deeplabv2red_r50-d8', 'upernet_ch256_mit (MiT-B5)'):
        file = ROOT / 'configs/_base_/models' / f'{name.removesuffix(" (MiT-B5)")}.py'
        parameters, gflops = model_table.count(model_table.read_model(file)[1])
        assert table[name][:3] == [f'{parameters:.2f} M', *(f'{value:.1f}' for value in gflops)], \
            'run python -m dev.model_table'


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page whose table has one small model; a latency takes no time."""
    config = ROOT / 'configs/_base_/models/daformer_conv1_mitb0_ch64.py'
    monkeypatch.setattr(model_table, 'CONFIGS', [config])
    monkeypatch.setattr(model_table, 'count', lambda cfg: (1.5, [2., 8.]))
    monkeypatch.setattr(model_table, 'measure',
                        lambda *_: dict(median_seconds=0.25, calibration_ok=True))
    (tmp_path / 'page.md').write_text(PAGE)
    return tmp_path / 'page.md'


def test_latencies_are_measured_on_demand_and_kept(page: Path) -> None:
    name, report = 'daformer_conv1_mitb0_ch64', ['--report', str(page)]
    model_table.main(report)
    assert rows(page) == {name: ['1.50 M', '2.0', '8.0', 'not measured', 'not measured']}
    model_table.main(['--latency', *report])
    assert rows(page)[name][3:] == ['0.25 s', 'not measured']
    measured = page.read_text()
    assert re.search(rf'^CPU: .* {torch.get_num_threads()} threads, torch {re.escape(torch.__version__)}\.$', measured,
                     re.MULTILINE)
    model_table.main(report)
    assert page.read_text() == measured
    assert measured.startswith('before\n') and measured.endswith('after\n')


def test_a_machine_that_did_not_keep_its_speed_is_noted(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_table, 'measure', lambda *_: dict(median_seconds=0.25, calibration_ok=False))
    model_table.main(['--latency', '--report', str(page)])
    assert '| 0.25 s (unsteady) |' in page.read_text()


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'page.md').write_text('text')
    with pytest.raises(ValueError, match=r'page\.md has no lines <!-- models -->.*add them'):
        model_table.main(['--report', str(tmp_path / 'page.md')])
    assert (tmp_path / 'page.md').read_text() == 'text'
