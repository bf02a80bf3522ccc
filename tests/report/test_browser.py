"""The page in a browser: it is drawn, loads nothing, and names the class below the pointer."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmseg.report.page import page
from tests.browser import chromium, watched
from tests.report.results import result


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a page of results; nothing may be requested, nothing complain, until the test ends."""
    with watched(browser, 'file:', 'data:') as (view, complaints):

        def open_(*results: Any) -> Any:
            path = tmp_path / 'report.html'
            path.write_text(page('a page', results), encoding='utf-8')
            view.goto(path.as_uri())
            return view

        yield open_
    assert not complaints


def canvas(view: Any, title: str) -> Any:
    """Of the first image the panel with this title."""
    block = view.locator('.image').first
    block.scroll_into_view_if_needed()
    view.wait_for_selector('.image[data-ready]')
    return block.locator('.panel').filter(has_text=title).first.locator('canvas')


def point(view: Any, title: str, x: float, y: float) -> str:
    """The text at the pointer, moved to a place 0..1 of a panel."""
    box = canvas(view, title).bounding_box()
    view.mouse.move(box['x'] + x * box['width'], box['y'] + y * box['height'])
    return view.locator('#tip').inner_text()


def colour(view: Any, title: str, x: int, y: int) -> list[int]:
    return canvas(view, title).evaluate(
        '(canvas, [x, y]) => Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data).slice(0, 3)', [x, y])


@pytest.mark.parametrize('panel', ['photograph', 'truth', 'prediction', 'errors', 'confidence'])
def test_the_class_below_the_pointer_is_named(open_page: Any, panel: str) -> None:
    view = open_page(result())
    assert point(view, panel, 0.25, 0.25).split('\n') == ['truth: sky <b>', 'prediction: sky <b>, 81 %']
    assert point(view, panel, 0.75, 0.75).split('\n') == ['truth: road', 'prediction: sky <b>, 81 %']
    assert point(view, panel, 0.5, 0.01).startswith('truth: not labelled')
    view.mouse.move(2, 2)
    assert view.locator('#tip').is_hidden() and not view.locator('.mark').count()


def test_panels_have_the_colours_of_the_classes_and_mark_what_is_wrong(open_page: Any) -> None:
    view = open_page(result())
    assert colour(view, 'truth', 10, 20) == colour(view, 'prediction', 10, 20) == [128, 64, 128]
    assert colour(view, 'prediction', 50, 20) == [70, 130, 180]
    assert colour(view, 'errors', 50, 20) == [220, 40, 40] != colour(view, 'errors', 10, 20)
    view.get_by_role('button', name='road').click()  # road alone
    assert colour(view, 'truth', 10, 20) == [128, 64, 128] and colour(view, 'truth', 10, 5) == [80, 80, 80]


def test_several_runs_share_image_and_truth(open_page: Any) -> None:
    view = open_page(result('first'), result('second'))
    assert view.locator('.image').first.locator('canvas').count() == 2 + 2 * 3
    assert point(view, 'second: prediction', 0.75, 0.75).split('\n') == [
        'truth: road', 'first: prediction: sky <b>, 81 %', 'second: prediction: sky <b>, 81 %']
