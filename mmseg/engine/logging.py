"""What a run reports: values summed on the device, one text line and one JSON line for each logging interval."""
from __future__ import annotations

import datetime
import json
import math
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg.distributed import processes
from mmseg.models.named_losses import Losses

METERS = 'meters.'  # before the names of what meters find
SCIENTIFIC = re.compile(rf'lr|{re.escape(METERS)}grad\..*')  # values that may be far below 1e-5
TIMES = ('time', 'data_time')
KEPT_LOSSES = 1000  # how far back the first loss that is no number can be found, in iterations (or their parts)


class LogBuffer:
    """Means of the logged values since the last reading; the values stay on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}
        self._losses: deque[tuple[int, dict[str, Tensor]]] = deque(maxlen=KEPT_LOSSES)

    def add(self, values: Losses | dict[str, Tensor | float], iteration: int = 0) -> None:
        """Add the values of a 0-based iteration, or of a part of it: scalars or tensors with one element."""
        if isinstance(values, Losses):
            self._losses.append((iteration, values.trained))
        for name, value in values.items():
            if isinstance(value, Tensor):
                value = value.detach().reshape(()).to(torch.float32)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The means so far: one transfer from the device, the only one. Those of all processes, which ask together."""
        tensors = {name: value for name, value in self._sums.items() if isinstance(value, Tensor)}
        sums: dict[str, Any] = dict(self._sums)
        if tensors:
            device = next(iter(tensors.values())).device
            stacked = processes.add_up(torch.stack([value.to(device) for value in tensors.values()]))
            sums.update(zip(tensors, (stacked / processes.count()).tolist()))
        return {name: total / self._counts[name] for name, total in sums.items()}

    def losses(self, means: Mapping[str, float]) -> dict[str, float]:
        """Those of some means that are trained."""
        trained = {name for _, losses in self._losses for name in losses}
        return {name: value for name, value in means.items() if name in trained}

    def first_lost(self) -> tuple[int, dict[str, float]] | None:
        """The first iteration since the last reading with a loss that is no number, and such losses; waits a lot."""
        for iteration, losses in self._losses:
            bad = {name: float(value) for name, value in losses.items() if not math.isfinite(value)}
            if bad:
                return iteration, bad
        return None

    def clear(self) -> None:
        """Start a new interval."""
        self._losses.clear()
        self._sums.clear()
        self._counts.clear()


def peak_memory(device: torch.device) -> int:
    """Peak memory in MB: allocated by torch on a GPU; on a CPU what the process had resident (0 on Windows)."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) // 2**20
    if sys.platform == 'win32':
        return 0
    import resource  # Unix only
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == 'darwin' else 2**10)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as in '1 day, 16:02:36'."""
    return str(datetime.timedelta(seconds=int(seconds)))


def text(name: str, value: Any) -> str:
    """A value as a line of the log shows it."""
    if SCIENTIFIC.fullmatch(name):
        return f'{name}: {value:.3e}'
    if name in TIMES:
        return f'{name}: {value:.3f}'
    return f'{name}: {value:.4f}' if isinstance(value, float) else f'{name}: {value}'


def text_line(values: dict[str, Any], iteration: int, max_iters: int, eta: float) -> str:
    """The line that users know: ``Iter [50/40000]  lr: 1.958e-06, eta: 16:02:36, time: 1.446, ...``."""
    parts = [text(name, value) for name, value in values.items()]
    parts.insert(1, f'eta: {duration(eta)}')
    return f'Iter [{iteration}/{max_iters}]\t{", ".join(parts)}'


def _rounded(value: Any, name: str = '') -> Any:
    if isinstance(value, float):
        # learning rates are far below 1e-5 during warm-up: five significant digits instead of five decimals
        return float(f'{value:.5g}') if SCIENTIFIC.fullmatch(name) else round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(entry, key) for key, entry in value.items()}
    return value


def unwritable(path: Path, error: Exception) -> str:
    """What to tell about a file of a run that could not be written: why, and how to go on."""
    if not path.parent.is_dir():
        return (f'{path} could not be written: its folder is gone. Was it removed, renamed or unmounted? Put it back, '
                'then resume from the latest.pth in it')
    free = shutil.disk_usage(path.parent).free // 2**20
    return (f'{path} could not be written ({error}); {free} MB are free there. Earlier checkpoints are untouched: make '
            'room, then resume from latest.pth')


class JsonLog:
    """A file with one JSON object per line, written by process 0.

    Args:
        path: the ``.log.json`` file.
        rounded: five digits for each value (PrecisionLoggerHook keeps all).
    """

    def __init__(self, path: Path, rounded: bool = True) -> None:
        self.path, self.rounded = path, rounded

    def write(self, values: dict[str, Any]) -> None:
        """Append one line.

        Raises:
            OSError: if the disk is full or the folder is gone.
        """
        if not processes.is_main():
            return
        try:
            with self.path.open('a') as file:
                file.write(json.dumps(_rounded(values) if self.rounded else values) + '\n')
        except OSError as error:
            raise OSError(unwritable(self.path, error)) from error


def claim_timestamp(work_dir: Path, moment: str) -> str:
    """The name of a run's log files: ``moment``, or with a number behind it if another run has taken it."""
    for attempt in range(1, 10000):
        name = moment if attempt == 1 else f'{moment}_{attempt}'
        try:
            os.close(os.open(work_dir / f'{name}.log', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            continue
        return name
    raise FileExistsError(f'{work_dir} holds 10000 logs of {moment}: choose another work_dir')
