"""What a checkpoint may bring: containers, tensors that have the memory which they claim, finite weights."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import CheckpointError
from mmseg.utils.nested import leaves

_TYPES = {  # no quantized ones, and none that torch can store, but not calculate with
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bool,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64}


def check_tensors(content: Any) -> None:
    """Refuse tensors that are no plain ones on the CPU, or that claim more values than the file holds.

    Raises:
        CheckpointError: naming the entry.
    """
    try:
        found = [(name, value) for name, value in leaves(content) if isinstance(value, Tensor)]
    except ValueError as error:
        raise CheckpointError(f'its {error}: this is no checkpoint') from None
    for name, value in found:
        if flaw := _flaw(value):
            raise CheckpointError(f'its {name} {flaw}: get the file again, or save dense tensors with torch.save')


def _flaw(tensor: Tensor) -> str:
    """What is wrong with a tensor, '' if nothing is."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided or tensor.dtype not in _TYPES:
        return f'is a tensor of a kind that is not read ({tensor.dtype}, {tensor.layout})'
    if tensor.device.type != 'cpu':
        return 'is a tensor without values'
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f'claims {tensor.numel()} values, the file holds fewer'
    return ''


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights in a checkpoint: under ``state_dict``, or on top beside other things.

    Raises:
        CheckpointError: if there is no such dict, or an entry is no tensor.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, Mapping):
        raise CheckpointError(f'its state_dict is a {type(state).__name__}, not a dict with weights')
    for name, value in state.items():
        # on top there are other things as well; modules may keep anything under _extra_state
        is_weight = state is not checkpoint or (isinstance(name, str) and '.' in name)
        if is_weight and not isinstance(value, Tensor) and not str(name).endswith('_extra_state'):
            raise CheckpointError(f'its {name} is a {type(value).__name__}, not a tensor: get the file again')
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no numbers, and variances of batch norms below 0, of which roots would be none.

    Raises:
        CheckpointError: naming the tensor.
    """
    for name, value in state.items():
        if (value.is_floating_point() or value.is_complex()) and not (good := torch.isfinite(value)).all():
            raise CheckpointError(f'its {name} holds {int((~good).sum())} values of {value.numel()} that are NaN or '
                                  'infinite: the training was lost when it was saved, take an earlier checkpoint')
        if name.endswith('running_var') and (value < 0).any():
            raise CheckpointError(f'its {name} holds variances below 0: get the file again, or take an earlier one')


def check_states(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Let every module that has a ``check_state`` look at its own entries before anything is loaded.

    Raises:
        CheckpointError: naming the module.
    """
    for name, module in model.named_modules():
        check = getattr(module, 'check_state', None)
        if check is not None:
            prefix = f'{name}.' if name else ''
            try:
                check({key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)})
            except CheckpointError as error:
                raise CheckpointError(f'its {prefix}{error}: get the file again, or take an earlier one') from error
