"""What a person can get wrong, as exceptions whose message names the thing and the remedy; commands print it and end.

Everything else that is raised is a mistake of this program.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable

from mmseg.utils.streams import let_go


class ConfigError(ValueError):
    """A config that cannot be used; the message names the file, the dotted key and the remedy.

    Args:
        message: what is wrong.
        word: the name or value that is wrong as it stands in the file, to find the file among several.
        key: the dotted key it belongs to.
    """

    def __init__(self, message: str, word: str = '', key: str = '') -> None:
        super().__init__(message)
        self.word, self.key = word, key


class ConfigKeyMissing(ConfigError):
    """A key that a section or class cannot do without is not there."""


class ConfigFileNotFound(ConfigError, FileNotFoundError):
    """A config file, or a file that it inherits from, does not exist."""


class ConfigMergeError(ConfigError, TypeError):
    """A dict of a child config meets something that is no dict in its base."""


class DataError(ValueError):
    """Something about the data on disk or its configuration is wrong."""


class LogError(ValueError):
    """A log that holds no training, or is no log at all."""


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be used or written."""


class ExportError(RuntimeError):
    """A network that cannot be written in another format."""


class PackageMissing(RuntimeError):
    """A package that only some people need is not installed; the message says how to install it."""


class NonFiniteLoss(RuntimeError):
    """A loss is NaN or infinite."""


class ProcessLost(RuntimeError):
    """Another process of this training or test has ended, or does not answer."""


EXPECTED = (CheckpointError, ExportError, NonFiniteLoss, PackageMissing, ProcessLost, OSError, ValueError)


def command(main: Callable[[], object]) -> None:
    """Run the ``main`` of a command line; an expected error becomes one line and exit status 1.

    An integer that it returns is the exit status; anything else (scores, a path) is for callers in Python. With several
    processes the line says which one it is about.
    """
    try:
        status = main()
    except EXPECTED as error:
        rank, count = (os.environ.get(name) for name in ('RANK', 'WORLD_SIZE'))
        place = '' if count in (None, '1') else f' in process {rank} of {count}'
        sys.exit(f'error{place}: {error}')
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # nobody reads any more, what is done is done
            let_go(sys.stdout)
    if isinstance(status, int):
        sys.exit(status)
