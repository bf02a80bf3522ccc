"""Tiny data sets on disk."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets import scenes


@pytest.fixture
def game(tmp_path: Path) -> Path:
    return scenes.write_game(tmp_path / 'game')


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return scenes.write_city(tmp_path / 'city')


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
