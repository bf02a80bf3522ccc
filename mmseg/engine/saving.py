"""Writing checkpoints that are whole or absent, and going on from one of our own."""
from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

import mmseg
from mmseg.checkpoint.contents import check_finite, check_states, weights_of
from mmseg.checkpoint.file import describe_difference, plain, read_checkpoint
from mmseg.datasets.loader import is_dead_worker
from mmseg.engine.logging import unwritable
from mmseg.engine.optim_state import load_optimizer_state, optimizer_state
from mmseg.errors import CheckpointError
from mmseg.models.trainable import Trainable
from mmseg.utils.atomic import write_atomically
from mmseg.utils.kinds import COUNT, NONE, NUMBER, SEED, WHOLE, Kind, Needed, Section

SCHEMA_VERSION = 1  # in meta: what the originals' files lack, and what resuming relies on
# The file of the best score so far is deleted when there is a better one, so it can be nothing else.
_BEST_FILE = Kind('the name of a best_*.pth file', lambda name: isinstance(name, str) and bool(
    re.fullmatch(r'best_[^/\\]+_iter_\d+\.pth', name)))
META = Section(dict(iter=Needed(WHOLE), max_iters=Needed(COUNT), seed=Needed(SEED), processes=COUNT, hook_msgs=Section(
    dict(best_score=NUMBER, best_ckpt=_BEST_FILE), free=True) | NONE))


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


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint file, all of it or nothing, and wait until it is on the disk.

    Raises:
        CheckpointError: if it cannot be written (disk full, no permission, folder gone); what was there before stays.
    """
    def save(temporary: str) -> None:
        with open(temporary, 'wb') as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    try:
        if not path.parent.is_dir():  # an unmounted disk, perhaps: not to be replaced by a folder on another one
            raise FileNotFoundError(path.parent)
        write_atomically(path, save)
    except (OSError, RuntimeError) as error:
        if is_dead_worker(error):
            raise
        raise CheckpointError(unwritable(path, error)) from error


def read_for_resume(path: Path) -> dict[str, Any]:
    """Read a checkpoint that training can continue from.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it cannot be read, or does not hold the state of a training of this program.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict) or not isinstance(meta.get('schema_version'), int):
        raise CheckpointError(f'{path} was not written by this program, so it lacks what resuming needs: start from '
                              f'its weights with --load-from {path}')
    if meta['schema_version'] > SCHEMA_VERSION:
        raise CheckpointError(f'{path} was written by a newer version of this program: update it, or start from its '
                              f'weights with --load-from {path}')
    if 'optimizer' not in checkpoint:
        raise CheckpointError(f'{path} holds no optimizer state (checkpoint_config.save_optimizer=False): start from '
                              f'its weights with --load-from {path}')
    for problem in META.problems({key: value for key, value in meta.items() if key in META.kinds}, 'meta'):
        raise CheckpointError(f'{path}: {problem.key} {problem.text}: get the file again, or start from its weights '
                              f'with --load-from {path}')
    return checkpoint


def restore(checkpoint: dict[str, Any], path: Path, model: Trainable, optimizer: Optimizer) -> None:
    """Put weights and optimizer states back, all of it or nothing.

    Raises:
        CheckpointError: if the checkpoint belongs to another model or optimizer, or what it holds is not what such a
            training writes.
    """
    try:
        state = weights_of(checkpoint)
        difference = describe_difference(model, state)
        if difference:
            raise CheckpointError('written by another model or method than the config describes '
                                  f'({difference}): resume with the config beside it, or start from its weights with '
                                  f'--load-from {path}')
        check_finite(state)
        check_states(model, state)
        own = checkpoint.get('own_optimizers')
        for name, each in model.own_optimizers().items():
            load_optimizer_state(each, own.get(name) if isinstance(own, dict) else None)
        load_optimizer_state(optimizer, checkpoint['optimizer'])
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    model.load_state_dict(state)
