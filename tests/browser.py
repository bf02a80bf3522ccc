"""A Chromium for tests of pages, where playwright and one are installed."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSERS = ('chromium', 'chromium-headless-shell', 'chromium-browser', 'google-chrome')


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; the test that wants it is skipped where there is none."""
    playwright = pytest.importorskip('playwright.sync_api', reason='needs pip install playwright')
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip('needs a Chromium, e.g. apt install chromium-headless-shell')
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=['--no-sandbox'])
        yield opened
        opened.close()
