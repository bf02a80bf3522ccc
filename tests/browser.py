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


@contextmanager
def watched(browser: Any, *allowed: str) -> Iterator[tuple[Any, list[str]]]:
    """An empty page, and what it complains of: errors, and requests whose addresses do not start as ``allowed``."""
    complaints: list[str] = []
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.set_default_timeout(60000)
    page.on('console', lambda message: complaints.append(message.text) if message.type == 'error' else None)
    page.on('pageerror', lambda trouble: complaints.append(str(trouble)))
    page.on('request', lambda request: complaints.append(request.url) if not request.url.startswith(allowed) else None)
    yield page, complaints
    page.close()
