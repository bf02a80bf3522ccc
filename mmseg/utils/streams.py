"""Output that nobody reads any more: a closed terminal, the dead end of ``| tee``."""
from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def let_go(stream: Any) -> None:
    """Send what is written from now on nowhere, and so with the other standard stream if it ends in the same place.

    Without this each further message would raise, and end what goes on without a reader: a training.
    """
    with suppress(OSError, ValueError, AttributeError):  # no stream of the system
        place = os.fstat(stream.fileno())
        for other in {stream, sys.stdout, sys.stderr}:
            if os.path.samestat(place, os.fstat(other.fileno())):
                _to_nowhere(other)


def _to_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    stream.flush()


def tell(text: str) -> None:
    """Print a line, if anybody reads it."""
    try:
        print(text, flush=True)
    except RuntimeError:  # a signal has come while a line was being printed
        pass
    except (OSError, ValueError):
        let_go(sys.stdout)
