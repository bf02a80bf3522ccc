"""The estimate of a training's memory: it agrees with what torch's allocator reports, and saving memory shows in it."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dev import memory_table
from mmseg.doctor.memory import GIB, card, estimated_bytes, measured_bytes
from tests.engine.tiny import tiny_config, write_images

SIZE = (64, 64)


@pytest.fixture
def config(tmp_path: Path) -> Any:
    images = write_images(tmp_path / 'images')

    def make(precision: str, **uda: Any) -> Any:
        cfg = tiny_config(images, tmp_path / 'run', uda=dict(type='DACS', pseudo_threshold=0.3, **uda))
        return memory_table.config(cfg.filename, {}, precision)

    return make


@pytest.mark.parametrize('uda', [dict(), dict(mrm=dict(dim=32, heads=2, depth=1))], ids=['dacs', 'mrm'])
def test_it_agrees_with_the_allocator(config: Any, uda: dict[str, Any]) -> None:
    cfg = config('fp32', **uda)
    assert estimated_bytes(cfg, SIZE) == pytest.approx(measured_bytes(cfg, SIZE), rel=0.15)


def test_saving_memory_shows(config: Any) -> None:
    whole, half, low = (estimated_bytes(config(precision), SIZE) for precision in memory_table.PRECISIONS)
    assert low < 0.7 * half < 0.7 * whole


def test_a_card_has_room_for_margin_and_context() -> None:
    assert card(6 * GIB) == '8 GB' and card(7 * GIB) == '11 GB' and card(200 * GIB) == 'more than 80 GB'


def test_the_table_goes_into_the_report(config: Any, tmp_path: Path) -> None:
    report = tmp_path / 'report.md'
    report.write_text(f'before\n{memory_table.BEGIN}\nold\n{memory_table.END}\nafter\n')
    table = memory_table.main([config('fp32').filename, '--size', '64', '64', '--precision', 'fp32', '--measure',
                               '--report', str(report)])
    assert '| training | images | fp32 |' in table and '64 x 64' in table and 'measured' in table
    text = report.read_text()
    assert table in text and 'old' not in text and text.startswith('before\n') and text.endswith('after\n')
