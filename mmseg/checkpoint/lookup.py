"""Which checkpoints a folder holds, and which is the newest."""
from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path

from mmseg.checkpoint.file import read_checkpoint
from mmseg.errors import CheckpointError
from mmseg.utils.atomic import UNFINISHED

_NUMBERED = re.compile(r'iter_(\d+)\.pth')


def numbered_checkpoints(folder: Path, until: float = math.inf) -> list[Path]:
    """The ``iter_N.pth`` files in ``folder`` with N <= ``until``, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob('iter_*.pth')
             if (match := _NUMBERED.fullmatch(path.name)) and int(match[1]) <= until]
    return [path for _, path in sorted(found)]


def newest_whole(folder: Path) -> tuple[Path | None, str]:
    """The checkpoint to go on from: ``latest.pth``, else the newest ``iter_N.pth`` that can be read.

    Returns:
        The file, None if there is no checkpoint at all; and why newer ones were passed over, '' if none was.

    Raises:
        CheckpointError: if there are checkpoints, but none can be read.
    """
    latest, problems = folder / 'latest.pth', []
    numbered = numbered_checkpoints(folder)
    if numbered and not os.path.lexists(latest):
        problems.append(f'{latest} is missing')
    for path in [*([latest] if os.path.lexists(latest) else []), *reversed(numbered)]:
        try:
            read_checkpoint(path)
        except (CheckpointError, OSError) as error:
            problems.append(str(error))
        else:
            return path, '; '.join(problems)
    if numbered or latest.is_file():
        raise CheckpointError(f'no checkpoint in {folder} can be read ({problems[0]}): put a whole one there, or '
                              'remove them to start anew')
    return None, '; '.join(problems)


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
