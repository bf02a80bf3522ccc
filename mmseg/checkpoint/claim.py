"""A folder of checkpoints belongs to one training at a time, and no other one overwrites what lies in it."""
from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from mmseg.errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows, where two trainings in one folder go unnoticed
    fcntl = None  # type: ignore[assignment]

LOCK = '.training.lock'
WRITTEN = ('iter_*.pth', 'latest.pth', 'best_*.pth')  # by a training
_held: dict[Path, IO[str]] = {}  # by folder, the locks of this process


def claim(folder: Path, resume_from: str | Path | None) -> None:
    """Make the folder, if need be, and reserve it for a training of this process until :func:`release`, or its end.

    Args:
        folder: of the checkpoints.
        resume_from: what the training goes on from: a file, 'auto' (the folder's own), or None.

    Raises:
        CheckpointError: if another training is writing there, or has left checkpoints and is not the one resumed; or if
            the folder cannot be made or written to.
    """
    folder = _real(folder)
    if folder in _held:
        return
    with ExitStack() as at_failure:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = at_failure.enter_context(open(folder / LOCK, 'a+'))
            _lock(file, folder)
            _refuse_others(folder, resume_from)  # with the lock, or one that has just ended could go unnoticed
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        except OSError as error:
            raise unwritable(folder, error) from error
        at_failure.pop_all()
    _held[folder] = file


def unwritable(folder: Path, error: OSError) -> CheckpointError:
    """The error about a folder in which a training cannot start."""
    return CheckpointError(f'{folder} cannot be written to ({error.strerror or error}): make it a folder with room for '
                           'checkpoints, or choose another --work-dir')


def release(folder: Path) -> None:
    """Let another training have the folder."""
    file = _held.pop(_real(folder), None)
    if file is not None:
        file.close()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike resolve() it takes links that lead to themselves


def _lock(file: IO[str], folder: Path) -> None:
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by data workers, gone with this process
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.seek(0)
            raise CheckpointError(f'another training, process {file.read().strip()}, is writing into {folder}: wait '
                                  'for it, or choose another --work-dir') from error
        # else the file system knows no locks


def _refuse_others(folder: Path, resume_from: str | Path | None) -> None:
    """Refuse to write where somebody else's files lie."""
    there = next((path.name for pattern in WRITTEN for path in sorted(folder.glob(pattern))), None)
    folders = [path for pattern in WRITTEN for path in folder.glob(pattern) if path.is_dir() and not path.is_symlink()]
    if folders:
        raise CheckpointError(f'{folders[0]} is a folder, and a checkpoint may get this name: give the folder another '
                              'one, or choose another --work-dir')
    own = resume_from == 'auto' or (resume_from is not None and _real(Path(resume_from).parent) == folder)
    if there and not own:
        raise CheckpointError(f'{folder} holds {there} of another training, which would be overwritten: go on with it '
                              'by --resume-from auto, choose another --work-dir, or remove the files')
