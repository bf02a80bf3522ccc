"""Where a run takes place: library versions and sources."""
from __future__ import annotations

import platform
import subprocess
import sys
import tarfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

import mmseg
from mmseg.utils.git import git_revision

LIBRARIES = ('torch', 'torchvision', 'numpy', 'cv2', 'mmengine', 'timm')
SOURCES = ('mmseg', 'tools', 'dev', 'configs', 'demo', ':(glob)*.py', ':(glob)*.sh')


def collect_env() -> dict[str, str]:
    """Names and versions of what a run depends on."""
    env = {'platform': platform.platform(), 'python': sys.version.split()[0]}
    env.update({name: _version(name) for name in LIBRARIES}, mmseg=mmseg.__version__)
    env['git'] = git_revision()[:9] or 'unknown'
    env['cpu'] = _processor()
    env['cpu threads'] = str(torch.get_num_threads())
    if torch.cuda.is_available():
        env['cuda'] = str(torch.version.cuda)
        env['cudnn'] = str(torch.backends.cudnn.version())
        for index in range(torch.cuda.device_count()):
            env[f'gpu {index}'] = torch.cuda.get_device_name(index)
    return env


def _version(library: str) -> str:
    """What a library says itself if it is imported; importing one for nothing else would take a second."""
    if library in sys.modules:
        return str(getattr(sys.modules[library], '__version__', 'unknown'))
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return 'not installed'


def _processor() -> str:
    """What the processor calls itself."""
    with suppress(OSError):  # Linux alone has the file
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def archive_sources(target: Path) -> bool:
    """Pack the tracked source files of the checkout in the working directory into the .tar.gz file ``target``.

    Returns:
        Whether there was a checkout to pack.
    """
    try:
        listing = subprocess.run(['git', 'ls-files', '-z', '--', *SOURCES], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    files = [Path(name) for name in listing.stdout.split('\0') if name and Path(name).is_file()]
    if listing.returncode or not files:
        return False
    with tarfile.open(target, 'w:gz') as archive:
        for file in files:
            archive.add(file)
    return True
