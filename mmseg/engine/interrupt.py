"""Ctrl-C, SIGTERM and a closed terminal: finish the iteration, save, say how to go on."""
from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from mmseg.distributed import processes
from mmseg.utils.streams import tell

HANG_UP = getattr(signal, 'SIGHUP', None)  # Windows has none
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([] if HANG_UP is None else [HANG_UP]))


class StopRequest:
    """While it is open, the first of :data:`SIGNALS` only sets :attr:`signal`; a second SIGINT quits at once.

    Under nohup a closed terminal stays ignored. Outside of the main thread, where Python takes no handlers, it does
    nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS
                              if number != HANG_UP or signal.getsignal(number) is not signal.SIG_IGN}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + int(self.signal or 0)

    def agreed(self) -> bool:
        """Whether any process has received a signal; then all of them have that signal and stop at the same place."""
        number = processes.largest(self.signal or 0)
        if number:
            self.signal = number
        return bool(number)

    def ignore_workers(self) -> None:
        """From now on the end of a data worker is nothing to raise for, as torch does wherever the program is."""
        if hasattr(signal, 'SIGCHLD') and threading.current_thread() is threading.main_thread():
            self._previous.setdefault(signal.SIGCHLD, signal.signal(signal.SIGCHLD, lambda *_: None))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a data worker, forked with this handler: the main process decides
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        first, self.signal = self.signal is None, number  # before anything that may fail
        if first:
            self.ignore_workers()  # the signal may have reached them, too
            name = 'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name
            if processes.is_main():
                tell(f'\n{name}: finishing the iteration, then saving. Ctrl-C again quits at once.')
