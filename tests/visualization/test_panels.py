"""Training panels: the drawing, and the hook that keeps it off the hot path."""
from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.engine import panel_hook
from mmseg.engine.panel_hook import PanelHook
from mmseg.visualization import Panel, draw_panels
from mmseg.visualization.panels import VERDICTS, denormalise

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
PALETTE = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def panels(batch: int = 1) -> list[Panel]:
    label = torch.arange(3).repeat(batch, 8, 4)
    return [
        Panel('Source', 'image', torch.zeros(batch, 3, 8, 12)),
        Panel('Source label', 'label', label),
        Panel('Label cells', 'label', label[:, None, ::4, ::4]),
        Panel('Source pixels', 'mask', label > 0),
        Panel('Weight', 'weight', torch.full((batch, 8, 12), 0.25)),
        Panel('Target', 'image', torch.ones(batch, 3, 8, 12))
    ]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert('RGB'))


def test_images_are_denormalised() -> None:
    raw = np.random.RandomState(0).randint(0, 256, (4, 5, 3))
    image = torch.tensor((raw - np.array(NORM['mean'])) / np.array(NORM['std'])).permute(2, 0, 1)
    np.testing.assert_array_equal(denormalise(image, **NORM), raw)


def test_five_panels_per_row_three_inches_wide(tmp_path: Path) -> None:
    draw_panels(panels(), tmp_path / 'new/grid.png', PALETTE, **NORM)
    draw_panels(panels()[:2], tmp_path / 'row.png', PALETTE, **NORM)
    grid, row = pixels(tmp_path / 'new/grid.png'), pixels(tmp_path / 'row.png')
    assert grid.shape[1] == 1500 and row.shape[1] == 600
    assert grid.shape[0] == pytest.approx(2 * row.shape[0], abs=2)


def test_panels_show_their_maps(tmp_path: Path) -> None:
    draw_panels(panels(), tmp_path / 'grid.png', PALETTE, **NORM)
    picture = pixels(tmp_path / 'grid.png')
    height = picture.shape[0] // 2
    first, second = picture[:height, :300].reshape(-1, 3), picture[:height, 300:600].reshape(-1, 3)
    assert (np.abs(first - np.round(NORM['mean'])).max(1) <= 1).mean() > 0.5  # the image is the mean colour
    for colour in PALETTE:
        assert (second == colour).all(1).mean() > 0.2


def test_each_image_of_a_batch_has_its_picture(tmp_path: Path) -> None:
    label = torch.stack([torch.zeros(8, 12), torch.ones(8, 12)])
    for index in range(2):
        draw_panels([Panel('Label', 'label', label)], tmp_path / f'{index}.png', PALETTE, **NORM, index=index)
        assert (pixels(tmp_path / f'{index}.png') == PALETTE[index]).all(2).mean() > 0.5


# the hook


class Model:
    """Hands out panels when it is asked to."""

    def __init__(self) -> None:
        self.capture, self.captured = False, []

    def networks(self) -> dict[str, Any]:
        return {'student': SimpleNamespace(PALETTE=PALETTE, num_classes=3)}

    def step(self) -> None:
        if self.capture:
            self.captured = panels(batch=2)


def train(hook: PanelHook, work_dir: Path, iterations: int, start: int = 0) -> Model:
    model, batch = Model(), dict(img_metas=[dict(img_norm_cfg=NORM)] * 2)
    runner = SimpleNamespace(model=model, work_dir=str(work_dir), iter=start, logger=logging.getLogger('panels'))
    for runner.iter in range(start, start + iterations):
        hook.before_train_iter(runner, runner.iter, batch)
        model.step()
        hook.after_train_iter(runner, runner.iter, batch, {})
    hook.after_run(runner)
    return model


def test_pictures_at_the_interval_counted_from_1(tmp_path: Path) -> None:
    model = train(PanelHook(3), tmp_path, 5)
    names = sorted(path.name for path in (tmp_path / 'debug').iterdir())
    assert names == ['000001_0.png', '000001_1.png', '000004_0.png', '000004_1.png']
    assert model.captured == [] and not model.capture


def test_training_does_not_wait_for_the_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, drawn = threading.Event(), []

    def slow(*args: Any) -> None:
        assert trained.wait(10)
        drawn.append(args[1])

    class Hook(PanelHook):
        def after_run(self, runner: Any) -> None:
            trained.set()
            super().after_run(runner)

    monkeypatch.setattr(panel_hook, 'draw_panels', slow)
    train(Hook(1), tmp_path, 3)
    assert len(drawn) == 6  # all pictures are there when the run has ended


def test_an_error_in_drawing_is_logged_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / 'debug').write_text('in the way')
    with caplog.at_level('WARNING'):
        train(PanelHook(1), tmp_path, 1)
    assert '000001_' in caplog.text and 'could not be drawn' in caplog.text


def test_pictures_are_left_out_rather_than_piled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(panel_hook, 'MAX_WAITING', 0)
    with caplog.at_level('WARNING'):
        train(PanelHook(1), tmp_path, 1)
    assert 'img_interval' in caplog.text and not (tmp_path / 'debug').exists()


def test_the_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match='interval'):
        PanelHook(0)


def test_verdicts_have_colours_of_their_own(tmp_path: Path) -> None:
    draw_panels([Panel('Errors', 'verdict', torch.arange(4).repeat(1, 4, 1))], tmp_path / 'x.png', PALETTE, **NORM)
    shown = pixels(tmp_path / 'x.png').reshape(-1, 3)
    assert all((shown == colour).all(1).mean() > 0.1 for colour in VERDICTS)
