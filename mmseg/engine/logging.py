"""What a run reports: values summed on the device, one text line and one JSON line for each logging interval."""
from __future__ import annotations

import datetime
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SCIENTIFIC = ('lr', )
TIMES = ('time', 'data_time')


class NonFiniteLoss(RuntimeError):
    """A loss became NaN or infinite."""


class LogBuffer:
    """Means of the logged values since the last reading; the values stay on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, Tensor | float]) -> None:
        """Add one iteration's values: scalars or tensors with one element."""
        for name, value in values.items():
            if isinstance(value, Tensor):
                value = value.detach().reshape(()).to(torch.float32)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The means so far: one transfer from the device, the only one."""
        names = [name for name, value in self._sums.items() if isinstance(value, Tensor)]
        sums = dict(self._sums)
        if names:
            device = self._sums[names[0]].device
            sums.update(zip(names, torch.stack([self._sums[name].to(device) for name in names]).tolist()))
        return {name: total / self._counts[name] for name, total in sums.items()}

    def clear(self) -> None:
        """Start a new interval."""
        self._sums.clear()
        self._counts.clear()


def check_finite(means: dict[str, float], iteration: int) -> None:
    """Refuse to go on with a loss that is no number.

    Args:
        means: logged values; those with 'loss' in their name are looked at.
        iteration: number of finished iterations, for the message.

    Raises:
        NonFiniteLoss: naming the losses.
    """
    bad = [f'{name} = {value}' for name, value in means.items() if 'loss' in name and not math.isfinite(value)]
    if bad:
        raise NonFiniteLoss(
            f'Training stopped at iteration {iteration}: {", ".join(bad)}. The checkpoints written so far stay. Lower '
            'optimizer.lr, lengthen lr_config.warmup_iters, set optimizer_config=dict(grad_clip=dict(max_norm=1.)), '
            'or train without amp; then resume from the last checkpoint.')


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


def _text(name: str, value: Any) -> str:
    if name in SCIENTIFIC:
        return f'{name}: {value:.3e}'
    if name in TIMES:
        return f'{name}: {value:.3f}'
    return f'{name}: {value:.4f}' if isinstance(value, float) else f'{name}: {value}'


def text_line(values: dict[str, Any], iteration: int, max_iters: int, eta: float) -> str:
    """The line that users know: ``Iter [50/40000]  lr: 1.958e-06, eta: 16:02:36, time: 1.446, ...``."""
    parts = [_text(name, value) for name, value in values.items()]
    parts.insert(1, f'eta: {duration(eta)}')
    return f'Iter [{iteration}/{max_iters}]\t{", ".join(parts)}'


def _rounded(value: Any, name: str = '') -> Any:
    if isinstance(value, float):
        # learning rates are far below 1e-5 during warm-up: five significant digits instead of five decimals
        return float(f'{value:.5g}') if name in SCIENTIFIC else round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(entry, key) for key, entry in value.items()}
    return value


class JsonLog:
    """A file with one JSON object per line.

    Args:
        path: the ``.log.json`` file.
        rounded: five digits for each value (PrecisionLoggerHook keeps all).
    """

    def __init__(self, path: Path, rounded: bool = True) -> None:
        self.path, self.rounded = path, rounded

    def write(self, values: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open('a') as file:
            file.write(json.dumps(_rounded(values) if self.rounded else values) + '\n')


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
