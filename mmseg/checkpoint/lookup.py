"""Which checkpoints a folder holds, and which is the newest."""
from __future__ import annotations

import math
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmseg.checkpoint.file import read_checkpoint
from mmseg.errors import CheckpointError
from mmseg.utils.atomic import UNFINISHED

_NUMBERED, _BEST = re.compile(r'iter_(\d+)\.pth'), re.compile(r'(?:best_.+_)?iter_(\d+)\.pth')


def numbered_checkpoints(folder: Path, until: float = math.inf) -> list[Path]:
    """The ``iter_N.pth`` files in ``folder`` with N <= ``until``, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob('iter_*.pth')
             if (match := _NUMBERED.fullmatch(path.name)) and int(match[1]) <= until]
    return [path for _, path in sorted(found)]


def has_checkpoints(folder: Path) -> bool:
    """Whether a training has left something in ``folder`` to go on from."""
    return (folder / 'latest.pth').exists() or bool(_resumable(folder))


def newest_whole(folder: Path) -> tuple[Path | None, str]:
    """The checkpoint to go on from: ``latest.pth``, else the farthest numbered one that can be read.

    Returns:
        The file, None if there is no checkpoint at all; and what speaks against it: why newer ones were passed over, or
        that ``latest.pth`` is not the farthest. '' if nothing does.

    Raises:
        CheckpointError: if there are checkpoints, but none can be read.
    """
    latest, problems = folder / 'latest.pth', []
    numbered = _resumable(folder)
    if numbered and not os.path.lexists(latest):
        problems.append(f'{latest} is missing')
    for number, path in [*([(None, latest)] if os.path.lexists(latest) else []), *reversed(numbered)]:
        try:
            done = _iterations(read_checkpoint(path))
        except (CheckpointError, OSError) as error:
            problems.append(str(error))
            continue
        if number not in (None, done):
            problems.append(f'{path} holds iteration {done}, so it has another name than it was given')
            continue
        if number is None and done is not None and (farther := numbered_checkpoints(folder)[-1:]) != (
                numbered_checkpoints(folder, done)[-1:]):
            problems.append(f'{latest} holds iteration {done}, although {farther[0].name} lies beside it')
        return path, '; '.join(problems)
    if numbered or latest.is_file():
        raise CheckpointError(f'no checkpoint in {folder} can be read ({problems[0]}): put a whole one there, or '
                              'remove them to start anew')
    return None, '; '.join(problems)


def _resumable(folder: Path) -> list[tuple[int, Path]]:
    """The numbered checkpoints of a training, the best ones too, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob('*iter_*.pth') if (match := _BEST.fullmatch(path.name))]
    return sorted(found)


def _iterations(checkpoint: dict[str, Any]) -> int | None:
    meta = checkpoint.get('meta')
    done = meta.get('iter') if isinstance(meta, dict) else None
    return done if isinstance(done, int) else None


def point_latest(path: Path) -> None:
    """Let ``latest.pth`` beside ``path`` name it: a symbolic link, else a hard link, else a copy."""
    latest, temporary = path.with_name('latest.pth'), path.with_name(f'{UNFINISHED}latest.pth')
    for link in (lambda: temporary.symlink_to(path.name), lambda: os.link(path, temporary),
                 lambda: shutil.copyfile(path, temporary)):
        temporary.unlink(missing_ok=True)
        try:
            link()
            os.replace(temporary, latest)
        except OSError:
            continue
        return
    raise CheckpointError(f'{latest} could not be written: make room, or remove what lies there')


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files of a run that was killed."""
    for path in folder.glob(f'{UNFINISHED}*.pth'):
        with suppress(OSError):  # of somebody else
            path.unlink()
