"""The figures of docs/methods.md are what the program draws."""
from __future__ import annotations

import re
from pathlib import Path

from dev import draw_method_figures

DOCS = Path(__file__).parents[2] / 'docs'


def test_every_method_has_its_figure(tmp_path: Path) -> None:
    draw_method_figures.main(['--out', str(tmp_path)])
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (DOCS / 'images/methods').iterdir()}
    assert drawn == set(re.findall(r'images/methods/([\w.]+)', (DOCS / 'methods.md').read_text()))
    assert all(b'<svg' in path.read_bytes() for path in tmp_path.iterdir())


def test_arrows_join_blocks_and_no_block_stands_on_another() -> None:
    for figure in draw_method_figures.FIGURES.values():
        assert {name for arrow in figure.arrows for name in arrow} == set(figure.blocks)
        places = [place[:2] for place in figure.blocks.values()]
        for index, (column, row) in enumerate(places):
            assert all(abs(column - x) >= 0.9 or abs(row - y) >= 0.75 for x, y in places[:index])
