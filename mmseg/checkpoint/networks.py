"""Finding one network's weights in a checkpoint.

A checkpoint of a UDA run holds several networks, each below a prefix (:data:`NETWORKS`); a plain or published one
holds the segmentor's keys with or without the student's.
"""
from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from mmseg.checkpoint.contents import check_finite, weights_of
from mmseg.checkpoint.file import differences, load_parameters, read_checkpoint
from mmseg.checkpoint.names import NETWORKS, network_name
from mmseg.errors import CheckpointError
from mmseg.registry import OBJECTIVES

logger = logging.getLogger('mmseg')
HEADS = ('decode_head.', 'auxiliary_head.')
SEGMENTOR_PARTS = ('backbone.', 'neck.', *HEADS)


def _prefixes() -> dict[str, str]:
    """Of the networks in checkpoints, by name: student, teacher, and those that objectives keep, named by theirs."""
    return {**NETWORKS, **{name: name for cls in OBJECTIVES.module_dict.values() for name in cls.networks}}


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the ``module.`` that (Distributed)DataParallel puts in front."""
    return {k.removeprefix('module.'): v for k, v in state.items()}


def segmentor_state(checkpoint: Mapping[str, Any], network: str = 'student') -> dict[str, Tensor]:
    """The state dict of one network, under a plain segmentor's keys (``backbone...``, ``decode_head...``).

    Args:
        checkpoint: what :func:`read_checkpoint` returned; the weights may lie on top or under ``state_dict``.
        network: 'student' (or the only network), 'teacher', 'imnet_model' or 'mic.teacher.ema_model'.

    Raises:
        CheckpointError: if the checkpoint lacks this network, an entry of its weights is no tensor, or one holds NaN.
    """
    state = _without_wrapper(weights_of(checkpoint))
    name, prefixes = network_name(network), _prefixes()
    found = _without_wrapper(_below(state, f'{prefixes.get(name, name)}.'))
    if not found and name == 'student':
        found = {k: v for k, v in state.items() if k.startswith(SEGMENTOR_PARTS)}
    if found:
        check_finite(found)
        return found
    present = [known for known, prefix in prefixes.items() if any(k.startswith(f'{prefix}.') for k in state)]
    if not present and any(k.startswith(SEGMENTOR_PARTS) for k in state):
        present = ['student']
    if present:
        raise CheckpointError(f'the checkpoint has no network {name!r}; it has {", ".join(present)}')
    first = ', '.join(list(state)[:5]) or 'none'
    raise CheckpointError(f'the checkpoint holds no segmentor; its first keys are {first}')


def load_segmentor(model: nn.Module, path: str | Path, network: str = 'student',
                   new: Collection[str] = ()) -> dict[str, Any]:
    """Load one network of a checkpoint file into a segmentor, all of it or not at all.

    Other networks in the file are ignored; entries of this one that the model has no place for are named in a warning.
    Weights of the encoder may have the names of another program, if the encoder's ``own_names`` knows them; that of a
    head takes out what it does without on purpose.

    Args:
        model: the segmentor.
        path: the file.
        network: see :func:`segmentor_state`.
        new: names of entries that stay as they are in the model, e.g. those of a classifier for other classes (see
            :func:`mmseg.models.outline.classifier_entries`).

    Returns:
        The checkpoint's ``meta`` ({} if it has none, or if it is about other classes: ``new``): iter, config ... and,
        where they fit the network, CLASSES (a list of names) and PALETTE (a list of RGB colours, 0 to 255). Those that
        do not fit are left out with a warning.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it cannot be read, lacks the network, or is of another model.
    """
    return load_network(model, read_checkpoint(path), path, network, new)


def load_network(model: nn.Module, checkpoint: Mapping[str, Any], path: str | Path, network: str = 'student',
                 new: Collection[str] = ()) -> dict[str, Any]:
    """:func:`load_segmentor` from what :func:`read_checkpoint` returned for ``path``, which messages name."""
    try:
        state = _own_names(model, segmentor_state(checkpoint, network))
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    state.update({name: value for name, value in model.state_dict().items() if name in new})
    try:
        load_parameters(model, state, f'{path}: its {network_name(network)} is of another model than the config')
    except CheckpointError as error:
        raise CheckpointError(f'{error}{_advice(model, state, path)}') from error
    num_classes: Any = model.num_classes  # an int, as every segmentor has it
    return {} if new else _usable_meta(checkpoint.get('meta'), num_classes, path)


def _own_names(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the names that encoder and head have for their weights, without those they do without."""
    for part in ('backbone', 'decode_head'):
        prefix, own_names = f'{part}.', getattr(getattr(model, part, None), 'own_names', dict)
        own = {f'{prefix}{name}': value for name, value in own_names(_below(state, prefix)).items()}
        state = {**{name: value for name, value in state.items() if not name.startswith(prefix)}, **own}
    return state


def _advice(model: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> str:
    """What to do with weights that fit but for the classes, or but for the heads; '' if there is more than that."""
    found = differences(model, state)
    names = found['missing'] + found['of another shape']
    if not found['missing'] and _differ_in_classes(model, state, names):
        return ('. Only the number of classes differs: correct model.decode_head.num_classes, or train with '
                f'--load-from {path} --new-classifier, which takes all but the classifier')
    if not names or not all(name.startswith(HEADS) for name in names):
        return ''
    later = any(name.startswith('decode_head.fusion_conv.') for name in found['unknown'])
    reason = ' (it is that of later mmsegmentation versions, with a convolution and batch norm per level: another ' \
             'network than the SegFormer authors\' head)' if later else ''
    return (f'. Only the head differs{reason}: choose the head that the file was trained with, or start a training '
            f'from its encoder with model.pretrained={path}')


def _differ_in_classes(model: nn.Module, state: Mapping[str, Tensor], names: Collection[str]) -> bool:
    """Whether all these entries have one row per class, here and in the file, and are the same otherwise.

    A hidden layer of another width would also show in the columns of the layer that reads it.
    """
    own = model.state_dict()
    rows = {(own[name].shape[:1], state[name].shape[:1]) for name in names}
    same = all(own[name].shape[1:] == state[name].shape[1:] for name in names)
    return same and len(rows) == 1 and rows.pop()[0] == (model.num_classes, )


def _usable_meta(meta: Any, num_classes: int, path: str | Path) -> dict[str, Any]:
    """``meta`` as :func:`load_segmentor` returns it; MMEngine's files have names and colours in ``dataset_meta``."""
    meta = dict(meta) if isinstance(meta, Mapping) else {}
    later = meta.get('dataset_meta')
    later = later if isinstance(later, Mapping) else {}
    for key, read, wanted in (('CLASSES', _names, 'names'), ('PALETTE', _colours, 'RGB colours of 0 to 255')):
        value = meta.pop(key, later.get(key.lower()))
        if value is None:
            continue
        usable = read(value)
        if usable is None or len(usable) != num_classes:
            logger.warning('%s: its %s is left out, since it does not hold %d %s', path, key, num_classes, wanted)
        else:
            meta[key] = usable
    return meta


def _names(value: Any) -> list[str] | None:
    """Class names in a list, tuple or array; None if there is anything else."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        return None
    return [str(name) for name in value]


def _colours(value: Any) -> list[list[int]] | None:
    """Colours [n, 3] in lists, an array or a tensor; None if there is anything else."""
    try:
        colours = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):  # ragged, or no numbers
        return None
    is_rgb = colours.ndim == 2 and colours.shape[1] == 3 and np.isin(colours, range(256)).all()
    return colours.astype(int).tolist() if is_rgb else None
