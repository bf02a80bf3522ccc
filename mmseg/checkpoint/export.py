"""Making small files for use and publication out of training checkpoints."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg.checkpoint.file import META_KEY, NO_SAFETENSORS, plain, read_checkpoint
from mmseg.checkpoint.names import network_name
from mmseg.checkpoint.networks import segmentor_state
from mmseg.errors import CheckpointError
from mmseg.utils.atomic import write_atomically

SUFFIXES = ('.pth', '.safetensors')
KEPT_META = ('CLASSES', 'PALETTE', 'config', 'iter', 'epoch', 'seed', 'exp_name', 'mmseg_version', 'time')


def slim(path: str | Path, network: str = 'student') -> dict[str, Any]:
    """One network of a checkpoint file, without optimizer and without whatever else helped in the training.

    Args:
        path: the file, of this program or of one of the originals.
        network: see :func:`~mmseg.checkpoint.networks.segmentor_state`.

    Returns:
        ``state_dict`` under a plain segmentor's keys, and ``meta`` with the class names, palette and config that the
        file knows, and ``network``.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it cannot be read, lacks the network or its classifier, or the network holds NaN.
    """
    checkpoint = read_checkpoint(path)
    try:
        state = segmentor_state(checkpoint, network)
        _check_classifier(state)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    # copies: a tensor may be a part of a larger one, which would be written as a whole
    return {
        'meta': plain({**{key: meta[key] for key in KEPT_META if key in meta}, 'network': network_name(network)}),
        'state_dict': {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    }


def _check_classifier(state: Mapping[str, Tensor]) -> None:
    """Refuse a network that no config can load: without the last layer of its decode head."""
    head = 'decode_head.head.' if any(name.startswith('decode_head.head.') for name in state) else 'decode_head.'
    parts = {name[len(head):].partition('.')[0] for name in state if name.startswith(head)}
    missing = [name for name in (f'{head}conv_seg.weight', f'{head}conv_seg.bias') if name not in state]
    if missing and parts != {'aspp_modules'}:  # the branches of DeepLab V2 are its classifiers
        raise CheckpointError(f'its network has no {" and no ".join(missing)}, so it classifies nothing: get the file '
                              'again, or start a training from its encoder with model.pretrained')


def write(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Write what :func:`slim` returned, all of it or nothing, in the format that the suffix says.

    Raises:
        CheckpointError: for another suffix, if the package safetensors is missing, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f'{path}: the file to write must end in {" or ".join(SUFFIXES)}')

    def save(temporary: str) -> None:
        if path.suffix == '.pth':
            torch.save(checkpoint, temporary)
        else:
            from safetensors.torch import save_file  # optional
            save_file(checkpoint['state_dict'], temporary,
                      {'format': 'pt', META_KEY: json.dumps(checkpoint['meta'])})

    try:
        write_atomically(path, save)
    except ImportError as error:
        raise CheckpointError(f'{path}: {NO_SAFETENSORS}') from error
    except Exception as error:  # a full disk shows as OSError, RuntimeError or the format's own error
        raise CheckpointError(f'{path} could not be written ({error}): make room, or choose another place') from error


def convert(source: str | Path, target: str | Path, network: str = 'student') -> None:
    """Write one network of the checkpoint ``source`` to ``target``; see :func:`slim` and :func:`write`.

    Raises:
        CheckpointError: also if both are the same file, which would destroy what the training needs to go on.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        raise CheckpointError(f'{target} is the checkpoint itself: choose another name for the small file')
    write(slim(source, network), target)


def publish(source: str | Path, target: str | Path, network: str = 'student') -> Path:
    """:func:`convert`, then put the first eight digits of the file's SHA-256 sum behind its name.

    Returns:
        The file, ``<name>-<8 digits>.<suffix>``.
    """
    target = Path(target)
    convert(source, target, network)
    digits = hashlib.sha256(target.read_bytes()).hexdigest()[:8]
    return target.rename(target.with_name(f'{target.stem}-{digits}{target.suffix}'))
