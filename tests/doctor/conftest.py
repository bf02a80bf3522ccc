"""A tiny training to look at."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine import Config

from tests.engine.tiny import tiny_config, write_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'images')


@pytest.fixture
def cfg(images: Path, tmp_path: Path) -> Config:
    return tiny_config(images, tmp_path / 'run', uda=dict(type='DACS'))
