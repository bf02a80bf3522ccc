"""Writing checkpoints that are whole or absent, and going on from one of our own."""
from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

import mmseg
from mmseg.engine.logging import unwritable
from mmseg.engine.optim import load_optimizer_state, optimizer_state
from mmseg.models.trainable import Trainable
from mmseg.utils.checkpoint_file import CheckpointError, describe_difference, read_checkpoint

SCHEMA_VERSION = 1  # in meta: what the originals' files lack, and what resuming relies on
_NUMBERED = re.compile(r'iter_(\d+)\.pth')


def plain(value: Any) -> Any:
    """``value`` as dicts, lists, numbers and texts, so that it loads under ``weights_only=True``."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def pack(model: Trainable, optimizer: Optimizer | None, meta: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as the originals lay it out: meta, state_dict (CPU tensors) and, if given, optimizer.

    With the optimizer go those that the method steps itself, if any, as ``own_optimizers``, by name.
    """
    meta = dict(meta, schema_version=SCHEMA_VERSION, mmseg_version=mmseg.__version__,
                time=time.strftime('%a %b %d %H:%M:%S %Y'))
    state = {key: value.cpu() if isinstance(value, Tensor) else value for key, value in model.state_dict().items()}
    checkpoint = {'meta': plain(meta), 'state_dict': state}
    if optimizer is not None:
        checkpoint['optimizer'] = optimizer_state(optimizer)
        own = model.own_optimizers()
        if own:
            checkpoint['own_optimizers'] = {name: optimizer_state(each) for name, each in own.items()}
    return checkpoint


def write_atomically(checkpoint: dict[str, Any], path: Path) -> None:
    """Write the file beside its place, then move it there: no reader ever finds half a checkpoint.

    Raises:
        CheckpointError: if it cannot be written (disk full, no permission, folder gone); what was there before stays.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with temporary.open('wb') as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(unwritable(path, error)) from error


def point_latest(path: Path) -> None:
    """Let ``latest.pth`` beside ``path`` name it: a symbolic link, else a hard link, else a copy."""
    latest, temporary = path.with_name('latest.pth'), path.with_name('.latest.pth.tmp')
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


def numbered_checkpoints(folder: Path, until: int) -> list[Path]:
    """The ``iter_N.pth`` files in ``folder`` with N <= ``until``, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob('iter_*.pth')
             if (match := _NUMBERED.fullmatch(path.name)) and int(match[1]) <= until]
    return [path for _, path in sorted(found)]


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files of a run that was killed."""
    for path in folder.glob('.*.pth.tmp'):
        path.unlink(missing_ok=True)


def read_for_resume(path: Path) -> dict[str, Any]:
    """Read a checkpoint that training can continue from.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it cannot be read, or does not hold the state of a training of this program.
    """
    checkpoint = read_checkpoint(path)
    version = (checkpoint.get('meta') or {}).get('schema_version')
    if version is None:
        raise CheckpointError(f'{path} was not written by this program, so it lacks what resuming needs: start from '
                              f'its weights with --load-from {path}')
    if version > SCHEMA_VERSION:
        raise CheckpointError(f'{path} was written by a newer version of this program: update it, or start from its '
                              f'weights with --load-from {path}')
    if 'optimizer' not in checkpoint:
        raise CheckpointError(f'{path} holds no optimizer state (checkpoint_config.save_optimizer=False): start from '
                              f'its weights with --load-from {path}')
    return checkpoint


def restore(checkpoint: dict[str, Any], path: Path, model: Trainable, optimizer: Optimizer) -> None:
    """Put weights and optimizer states back, all of it or nothing.

    Raises:
        CheckpointError: if the checkpoint belongs to another model or optimizer.
    """
    state = checkpoint['state_dict']
    difference = describe_difference(model, state)
    if difference:
        raise CheckpointError(f'{path} was written by another model or method than the config describes '
                              f'({difference}): resume with the config beside it, or start from its weights with '
                              f'--load-from {path}')
    try:
        for name, own in model.own_optimizers().items():
            load_optimizer_state(own, checkpoint['own_optimizers'][name])
        load_optimizer_state(optimizer, checkpoint['optimizer'])
    except (ValueError, KeyError) as error:
        raise CheckpointError(f'{path}: {error}') from error
    model.load_state_dict(state)
