"""The device that a name stands for."""
from __future__ import annotations

import torch


def resolve_device(name: str | None = None) -> torch.device:
    """The device called ``name``: 'cpu', 'cuda', 'cuda:1', or 'auto' (None): a GPU if there is one, else the CPU.

    Raises:
        ValueError: if the device does not exist on this machine.
    """
    if name in (None, 'auto'):
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'device {name!r} is not known: use auto, cpu, cuda or cuda:N') from error
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f'device {name!r} is not available, torch sees {torch.cuda.device_count()} GPU(s): '
                         'use --device cpu, or install a CUDA build of torch and its driver')
    if device.type not in ('cpu', 'cuda'):
        raise ValueError(f'device {name!r} is not supported: use auto, cpu, cuda or cuda:N')
    return device
