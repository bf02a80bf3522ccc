"""Finding one network's weights in a checkpoint.

A checkpoint of a UDA run holds several networks, each below a prefix (``model.`` is the student, ``ema_model.`` the
teacher); a plain or published one holds the segmentor's keys with or without ``model.``.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmseg.utils.checkpoint_file import CheckpointError, load_parameters, read_checkpoint

__all__ = ['CheckpointError', 'load_segmentor', 'read_checkpoint', 'segmentor_state']

NETWORKS = ('model', 'ema_model', 'imnet_model', 'mic.teacher.ema_model')
SEGMENTOR_PARTS = ('backbone.', 'neck.', 'decode_head.', 'auxiliary_head.')


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the ``module.`` that (Distributed)DataParallel puts in front."""
    return {k.removeprefix('module.'): v for k, v in state.items()}


def segmentor_state(checkpoint: Mapping[str, Any], network: str = 'model') -> dict[str, Tensor]:
    """The state dict of one network, under a plain segmentor's keys (``backbone...``, ``decode_head...``).

    Args:
        checkpoint: what :func:`read_checkpoint` returned; the weights may lie on top or under ``state_dict``.
        network: 'model' (the student, or the only network), 'ema_model' (the teacher), 'imnet_model' or
            'mic.teacher.ema_model'.

    Raises:
        CheckpointError: if the checkpoint lacks this network.
    """
    state = checkpoint.get('state_dict', checkpoint)
    state = _without_wrapper({k: v for k, v in state.items() if isinstance(v, Tensor)})
    found = _without_wrapper(_below(state, f'{network}.'))
    if not found and network == 'model':
        found = {k: v for k, v in state.items() if k.startswith(SEGMENTOR_PARTS)}
    if found:
        return found
    present = [name for name in NETWORKS if any(k.startswith(f'{name}.') for k in state)]
    if not present and any(k.startswith(SEGMENTOR_PARTS) for k in state):
        present = ['model']
    if present:
        raise CheckpointError(f'the checkpoint has no network {network!r}; it has {", ".join(present)}')
    first = ', '.join(list(state)[:5]) or 'none'
    raise CheckpointError(f'the checkpoint holds no segmentor; its first keys are {first}')


def load_segmentor(model: nn.Module, path: str | Path, network: str = 'model') -> dict[str, Any]:
    """Load one network of a checkpoint file into a segmentor, all of it or not at all.

    Other networks in the file are ignored; entries of this one that the model has no place for are named in a warning.

    Args:
        model: the segmentor.
        path: the file.
        network: see :func:`segmentor_state`.

    Returns:
        The checkpoint's ``meta`` ({} if it has none): CLASSES, PALETTE, iter, config ...

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it cannot be read, lacks the network, or is of another model.
    """
    checkpoint = read_checkpoint(path)
    try:
        state = segmentor_state(checkpoint, network)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    load_parameters(model, state, f'{path}: its network {network!r} is of another model than the config')
    return dict(checkpoint.get('meta') or {})
