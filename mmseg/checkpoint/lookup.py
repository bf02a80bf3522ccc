"""Which checkpoints a folder holds, and which is the newest."""
from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from mmseg.errors import CheckpointError
from mmseg.utils.atomic import UNFINISHED

_NUMBERED = re.compile(r'iter_(\d+)\.pth')


def numbered_checkpoints(folder: Path, until: int) -> list[Path]:
    """The ``iter_N.pth`` files in ``folder`` with N <= ``until``, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob('iter_*.pth')
             if (match := _NUMBERED.fullmatch(path.name)) and int(match[1]) <= until]
    return [path for _, path in sorted(found)]


def point_latest(path: Path) -> None:
    """Let ``latest.pth`` beside ``path`` name it: a symbolic link, else a hard link, else a copy."""
    latest, temporary = path.with_name('latest.pth'), path.with_name(f'{UNFINISHED}latest.pth')
    for link in (lambda: temporary.symlink_to(path.name), lambda: os.link(path, temporary),
                 lambda: shutil.copyfile(path, temporary)):
        temporary.unlink(missing_ok=True)
        try:
            link()
        except OSError:
            continue
        os.replace(temporary, latest)
        return
    raise CheckpointError(f'{latest} could not be written: make room, or remove the file')


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files of a run that was killed."""
    for path in folder.glob(f'{UNFINISHED}*.pth'):
        path.unlink(missing_ok=True)
