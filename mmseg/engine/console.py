"""What a person at a terminal sees of a training: a bar, and messages above it. Elsewhere the console has plain lines.

The log file has every message. ``logger.info(text, extra=FILE_ONLY)`` is for the file alone, with ``extra=NO_TERMINAL``
a terminal is left out, which shows the same in its bar or in a table.
"""
from __future__ import annotations

import logging
import shutil
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from tqdm import tqdm

from mmseg.distributed import processes

if TYPE_CHECKING:
    from mmseg.engine.runner import TrainRunner

FILE_ONLY, NO_TERMINAL = {'shown': 'in the file'}, {'shown': 'in lines'}


def on_terminal() -> bool:
    """Whether all that this process says goes to a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def use_console(logger: logging.Logger) -> None:
    """Let a logger keep from the console what is not for it, and make room for a bar on a terminal."""
    terminal = on_terminal()
    for place, handler in enumerate(logger.handlers):
        if isinstance(handler, logging.FileHandler) or not isinstance(handler, logging.StreamHandler):
            continue
        if terminal:
            logger.handlers[place] = _Terminal(handler)
        else:
            handler.addFilter(lambda record: getattr(record, 'shown', '') != FILE_ONLY['shown'])


class _Terminal(logging.Handler):
    """Writes messages above the bar, no line wider than the terminal; takes level and filters of ``other``."""

    def __init__(self, other: logging.Handler) -> None:
        super().__init__(other.level)
        self.filters = list(other.filters)

    def filter(self, record: logging.LogRecord) -> Any:
        from_mmengine = record.levelno <= logging.INFO and 'mmengine' in Path(record.pathname).parts  # a list of hooks
        return not from_mmengine and not hasattr(record, 'shown') and super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        level = '' if record.levelno <= logging.INFO else f'{record.levelname.lower()}: '
        text = f'{level}{record.getMessage()}'
        with suppress(OSError):  # of a terminal that is gone the training need not know
            tqdm.write(wrapped(text, shutil.get_terminal_size().columns), file=sys.stdout)


def wrapped(text: str, width: int) -> str:
    """Text with lines of at most ``width`` columns, as far as words allow; rows of tables stay whole."""
    lines = []
    for line in text.splitlines():
        whole = len(line) <= width or line.startswith(('|', '+'))
        lines += [line] if whole else textwrap.wrap(line, width, subsequent_indent='  ', break_long_words=False,
                                                    break_on_hyphens=False)
    return '\n'.join(lines)


class ProgressHook(Hook):
    """The bar of a training on a terminal: iterations, time left, speed, the loss and the last mIoU."""
    priority = 'NORMAL'  # before the log and the evaluation, which tell more about the same iteration

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._shown: dict[str, str] = {}

    def before_train(self, runner: TrainRunner) -> None:
        """Open the bar at the iteration where the training starts."""
        if processes.is_main() and on_terminal():
            self._bar = tqdm(total=runner.max_iters, initial=runner.iter, desc='training', unit='it',
                             dynamic_ncols=True)

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Count the iteration."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.update()

    def after_report(self, runner: TrainRunner, mode: str, values: dict[str, float], step: int) -> None:
        """Take over the loss, which is the sum of all that is trained, and the score."""
        if self._bar is None:
            return
        if mode == 'train':
            self._shown['loss'] = f'{sum(runner.log_buffer.losses(values).values()):.3g}'
        elif mode == 'val' and 'mIoU' in values:
            self._shown['mIoU'] = f'{100 * values["mIoU"]:.2f} %'
        with suppress(OSError):
            self._bar.set_postfix(self._shown)

    def after_run(self, runner: TrainRunner) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()
            self._bar = None
