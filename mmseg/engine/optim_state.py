"""The state of an optimizer in checkpoints.

What a file brings is compared with what such an optimizer makes itself: its kernels trust sizes and types, so that a
wrong one would end the process.
"""
from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mmseg.checkpoint.contents import check_finite
from mmseg.errors import CheckpointError

_KERNELS = ('params', 'fused', 'foreach', 'capturable')  # arguments that do not change what is kept
_NOT_NEGATIVE = {'step', 'exp_avg_sq', 'max_exp_avg_sq', 'square_avg', 'sum', 'exp_inf'}  # counts, sums of squares


def optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer's state as plain containers of CPU tensors.

    ``without_state`` names the parameters for which nothing is kept, since they never had a gradient.
    """
    state = optimizer.state_dict()
    state['state'] = {index: {key: value.cpu() if isinstance(value, Tensor) else value for key, value in entry.items()}
                      for index, entry in state['state'].items()}
    state['without_state'] = [name for index, (name, _, _) in enumerate(_parameters(optimizer))
                              if not state['state'].get(index)]
    return state


def load_optimizer_state(optimizer: Optimizer, saved: Any) -> None:
    """Take over moments and step counts; learning rates, decay and kernels stay those of the present config.

    Raises:
        CheckpointError: if the saved state belongs to other parameters or to another grouping of them, or if what it
            holds for one is not what this optimizer keeps.
    """
    own, states = optimizer.state_dict(), _entry(saved, 'state')
    names = [group.get('names') for group in own['param_groups']]
    groups = _entry(saved, 'param_groups')
    if not isinstance(states, Mapping) or not isinstance(groups, list) or (
            names != [_texts(_entry(group, 'names')) for group in groups]):
        raise CheckpointError('the optimizer state of the checkpoint belongs to other parameter groups: resume with '
                              'the model, optimizer and paramwise_cfg it was trained with, or start anew with '
                              '--load-from')
    without, taken = _texts(_entry(saved, 'without_state')) or (), {}
    kept: dict[Any, dict[str, Any]] = {}
    for index, (name, parameter, group) in enumerate(_parameters(optimizer)):
        if index not in states and name in without:
            continue
        alike = id(group), parameter.shape, parameter.stride(), parameter.dtype
        if alike not in kept:
            kept[alike] = _kept(optimizer, parameter, group)
        taken[index] = _taken(states.get(index), kept[alike], name)
    optimizer.load_state_dict({'state': taken, 'param_groups': own['param_groups']})


def _entry(container: Any, key: str) -> Any:
    return container.get(key) if isinstance(container, Mapping) else None


def _texts(value: Any) -> list[str] | None:
    """A list of names; None for anything else, which might not even be comparable with one."""
    return value if isinstance(value, list) and all(isinstance(entry, str) for entry in value) else None


def _parameters(optimizer: Optimizer) -> list[tuple[str, Tensor, dict[str, Any]]]:
    """Name, parameter and group, in the order in which the optimizer counts them."""
    pairs = [(parameter, group, place) for group in optimizer.param_groups
             for place, parameter in enumerate(group['params'])]
    return [(group['names'][place] if 'names' in group else f'parameter {index}', parameter, group)
            for index, (parameter, group, place) in enumerate(pairs)]


def _kept(optimizer: Optimizer, parameter: Tensor, group: Mapping[str, Any]) -> dict[str, Any]:
    """What the optimizer keeps of a parameter, found by a step of another one with zeros in its place."""
    kind = type(optimizer)
    stand_in = torch.zeros_like(parameter, device='cpu', requires_grad=True)
    stand_in.grad = torch.zeros_like(stand_in)
    options = {key: group[key] for key in signature(kind).parameters if key in group and key not in _KERNELS}
    another = kind([stand_in], **options)
    another.step()
    return another.state[stand_in]


def _taken(saved: Any, kept: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The state of the parameter called ``name``, in memory of its own."""
    whose = f'the optimizer state of {name}'
    if not isinstance(saved, Mapping) or saved.keys() != kept.keys():
        there = ', '.join(map(str, saved)) if isinstance(saved, Mapping) and saved else 'nothing'
        raise CheckpointError(f'{whose} holds {there} instead of {", ".join(kept) or "nothing"}: resume with the '
                              'optimizer it was trained with, or start anew with --load-from')
    taken = {}
    for key, own in kept.items():
        value = saved[key]
        if _look(value) != _look(own):
            raise CheckpointError(f'{whose}: {key} is {_look(value)} instead of {_look(own)}: get the checkpoint '
                                  'again, or start anew with --load-from')
        taken[key] = torch.empty_like(own).copy_(value) if isinstance(own, Tensor) else value
    check_finite({f'{whose}, {key},': value for key, value in taken.items() if isinstance(value, Tensor)})
    for key in _NOT_NEGATIVE & taken.keys():
        if (taken[key] < 0).any():
            raise CheckpointError(f'{whose}: {key} is negative, which no training makes it: get the checkpoint again, '
                                  'or start anew with --load-from')
    return taken


def _look(value: Any) -> str:
    return f'{value.dtype} {tuple(value.shape)}' if isinstance(value, Tensor) else type(value).__name__
