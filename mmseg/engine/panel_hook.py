"""Draws the training panels off the hot path."""
from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmseg.visualization.palettes import Palette, default_palette
from mmseg.visualization.panels import Panel, draw_panels

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner
    from mmseg.models.trainable import Trainable

# Iterations whose pictures may wait for the drawing thread; further ones are left out, training is not.
MAX_WAITING = 16


class PanelHook(Hook):
    """Every ``interval`` iterations, writes what the step saw and made to ``<work_dir>/debug/<iteration>_<j>.png``.

    The iteration is counted from 1 and has six digits; j is the image of the batch. Drawing happens in one background
    thread, an error in it is logged and does no more harm.

    Args:
        interval: in iterations; the first one is drawn, too.
    """
    priority = 'LOW'

    def __init__(self, interval: int) -> None:
        if interval < 1:
            raise ValueError(f'the interval of the training panels must be at least 1 iteration, got {interval}')
        self.interval = interval
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[Future] = []

    def before_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None) -> None:
        """Ask process 0 for panels in one iteration of each interval."""
        runner.model.capture = is_main_process() and runner.iter % self.interval == 0

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Hand the panels of this iteration, if it has made some, to the drawing thread."""
        model = runner.model
        if not model.capture:
            return
        panels, model.captured, model.capture = model.captured, [], False
        self._waiting = [future for future in self._waiting if not future.done()]
        if not panels:
            return
        if len(self._waiting) >= MAX_WAITING:
            runner.logger.warning(f'no training panels for iteration {runner.iter + 1}: drawing takes longer than '
                                  f'{self.interval} iterations, set a larger log_config.img_interval')
            return
        self._thread = self._thread or ThreadPoolExecutor(1, 'panels')
        prefix = Path(runner.work_dir) / 'debug' / f'{runner.iter + 1:06d}'
        self._waiting.append(
            self._thread.submit(_draw, [panel.cpu() for panel in panels], prefix, _palette(model),
                                data_batch['img_metas'][0]['img_norm_cfg'], runner.logger))

    def after_run(self, runner: TrainRunner) -> None:
        """Wait for the pictures that are still to be drawn."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None


def _palette(model: Trainable) -> Palette:
    student = model.networks()['student']
    return getattr(student, 'PALETTE', None) or default_palette(student.num_classes)


def _draw(panels: list[Panel], prefix: Path, palette: Palette, norm: dict[str, Any], logger: Logger) -> None:
    try:
        for j in range(len(panels[0].tensor)):
            draw_panels(panels, f'{prefix}_{j}.png', palette, norm['mean'], norm['std'], j)
    except Exception as error:  # a picture is no reason to end a training
        logger.warning(f'the training panels {prefix}_*.png could not be drawn: {error}')
