"""torch.compile for the student, in place, so that no key of the state dict changes."""
from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

_LIMIT_WORDS = ('recompile_limit', 'cache_size_limit')


class _LimitWarning(logging.Handler):
    """Passes dynamo's note that it gives up on a function on to the run's log."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logging.WARNING)
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        if any(word in record.getMessage() for word in _LIMIT_WORDS):
            self.logger.warning('torch.compile has hit its recompile limit, a part of the network runs uncompiled from '
                                'here on: keep the crop size and batch size fixed, or set compile=None. '
                                f'{record.getMessage().splitlines()[0]}')


def is_wanted(setting: bool | dict[str, Any] | None) -> bool:
    """Whether the config's ``compile`` asks for it; an empty dict does."""
    return setting is not None and setting is not False


def compile_student(student: nn.Module, setting: bool | dict[str, Any] | None, logger: logging.Logger) -> None:
    """Compile backbone and decode head of a segmentor.

    Args:
        setting: the config's ``compile``: None or False (off), True, or the arguments of ``torch.compile``.
        logger: warned when dynamo gives up.
    """
    if not is_wanted(setting):
        return
    options = dict(setting) if isinstance(setting, dict) else {}
    for part in ('backbone', 'decode_head'):
        student.get_submodule(part).compile(**options)
    dynamo = logging.getLogger('torch._dynamo.convert_frame')
    for handler in [h for h in dynamo.handlers if isinstance(h, _LimitWarning)]:
        dynamo.removeHandler(handler)
    dynamo.addHandler(_LimitWarning(logger))
    logger.info('student backbone and decode head are compiled; the first iterations take longer')


def eager() -> AbstractContextManager:
    """Run compiled modules uncompiled: validation images have other sizes than the training crops."""
    if hasattr(torch.compiler, 'set_stance'):  # torch >= 2.6
        return torch.compiler.set_stance('force_eager')
    return nullcontext()
