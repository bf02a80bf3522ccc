"""A folder of checkpoints belongs to one training at a time, and no other one overwrites what lies in it."""
from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

from mmseg.errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows, where two trainings in one folder go unnoticed
    fcntl = None  # type: ignore[assignment]

LOCK = '.training.lock'
_held: dict[Path, IO[str]] = {}  # by folder, the locks of this process


def claim(folder: Path, resume_from: str | Path | None) -> None:
    """Make the folder, if need be, and reserve it for a training of this process until :func:`release`, or its end.

    Args:
        folder: of the checkpoints.
        resume_from: what the training goes on from: a file, 'auto' (the folder's own), or None.

    Raises:
        CheckpointError: if another training is writing there, or has left checkpoints and is not the one resumed.
    """
    folder = folder.resolve()
    if folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_others(folder, resume_from)
    file = open(folder / LOCK, 'a+')
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by data workers, gone with this process
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.seek(0)
            process = file.read().strip()
            file.close()
            raise CheckpointError(f'another training, process {process}, is writing into {folder}: wait for it, or '
                                  'choose another --work-dir') from error
        # else the file system knows no locks
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held[folder] = file


def release(folder: Path) -> None:
    """Let another training have the folder."""
    file = _held.pop(folder.resolve(), None)
    if file is not None:
        file.close()


def _refuse_others(folder: Path, resume_from: str | Path | None) -> None:
    there = next((path.name for path in sorted(folder.glob('iter_*.pth'))), None)
    own = resume_from == 'auto' or (resume_from is not None and Path(resume_from).parent.resolve() == folder)
    if there and not own:
        raise CheckpointError(f'{folder} holds {there} of another training, which would be overwritten: go on with it '
                              'by --resume-from auto, choose another --work-dir, or remove the files')
