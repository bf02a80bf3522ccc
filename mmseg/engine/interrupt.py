"""Ctrl-C and SIGTERM: finish the iteration, save, say how to go on."""
from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from mmseg.distributed import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is open, the first SIGINT or SIGTERM only sets :attr:`signal`; a second SIGINT quits at once.

    Outside of the main thread, where Python takes no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + int(self.signal or 0)

    def agreed(self) -> bool:
        """Whether any process has received a signal; then all of them have that signal and stop at the same place."""
        number = processes.largest(self.signal or 0)
        if number:
            self.signal = number
        return bool(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a data worker, forked with this handler: the main process decides
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            # torch raises, wherever the program is, when a worker dies; the signal may have reached the workers too
            if hasattr(signal, 'SIGCHLD'):
                self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
            name = 'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name
            if processes.is_main():
                print(f'\n{name}: finishing the iteration, then saving. Ctrl-C again quits at once.', flush=True)
        self.signal = number
