"""Pictures to train on, shared by all engine tests."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.tiny import write_images


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp('images'))
