"""Is the machine fit: versions of what is installed, GPU, memory."""
from __future__ import annotations

import re
import shutil
from importlib import metadata
from importlib.metadata import requires

import torch
from packaging.requirements import Requirement

from mmseg.config.memory import GIB, total_memory
from mmseg.doctor.report import Report
from mmseg.engine.env import collect_env
from mmseg.ownership import DISTRIBUTION
from mmseg.utils.device import resolve_device

INSTALL = f'pip install -U {DISTRIBUTION}, or in a clone of the repository pip install -r requirements.txt'


def check_machine(report: Report, wanted: str | None) -> torch.device | None:
    """Report on versions and the device.

    Args:
        wanted: name of the device, None for a GPU if there is one.

    Returns:
        The device to try a training step on; None if the wanted one does not exist.
    """
    report.section('machine')
    env = collect_env()
    report.ok(', '.join(f'{name} {version}' for name, version in env.items() if not name.startswith('gpu')))
    _check_requirements(report)
    device = None
    with report.guarded('use --device cpu, change device in the config, or install a CUDA build of torch'):
        device = resolve_device(wanted)
        _check_device(report, device)
    return device


def _check_requirements(report: Report) -> None:
    for wanted in map(Requirement, _requirements()):
        if wanted.marker and not wanted.marker.evaluate(dict(extra='')):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            if _replaced(wanted.name):
                continue
            report.problem(f'{wanted.name} is not installed', INSTALL)
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            report.problem(f'{wanted.name} is {version}, needed is {wanted.specifier}', INSTALL)


def _requirements() -> list[str]:
    """What an installation needs; nothing is known about a copy that is not installed."""
    try:
        return requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []


def _replaced(name: str) -> bool:
    """Whether another package brings the same modules (mmengine for mmengine-lite, other builds of OpenCV)."""
    family = re.sub(r'-(lite|headless)$', '', name).removesuffix('-python')
    installed = (distribution.metadata['Name'] or '' for distribution in metadata.distributions())
    return any(other.lower().startswith(family) for other in installed)


def _check_device(report: Report, device: torch.device) -> None:
    if device.type == 'cpu':
        hint = 'install a CUDA build of torch: https://pytorch.org/get-started/locally' if shutil.which('nvidia-smi') \
            else 'rent or borrow a GPU; configs/toy and configs/camvid are made for CPUs'
        report.warn(f'the training would run on the CPU ({torch.get_num_threads()} threads, '
                    f'{total_memory(device) / GIB:.0f} GiB of memory): weeks at the sizes of the papers', hint)
        return
    free, total = torch.cuda.mem_get_info(device)
    torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)  # fails where torch has no code for the GPU
    report.ok(f'{device}: {torch.cuda.get_device_name(device)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free')
    if free < 0.8 * total:
        report.warn(f'other programs use {(total - free) / GIB:.1f} GiB of the GPU', 'nvidia-smi names them: end them, '
                    'or choose another GPU with --device')
