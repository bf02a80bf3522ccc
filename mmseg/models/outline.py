"""Networks without memory and values: what a config's model section says about names and shapes, in a moment."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from mmseg.models import build_segmentor


class _NoInitialisation(TorchFunctionMode):
    """Leaves out what ``torch.nn.init`` does, which takes half of the time and has no values to set here."""
    draws = (torch.Tensor.normal_, torch.Tensor.uniform_)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.draws or getattr(func, '__module__', '') == 'torch.nn.init':
            return args[0] if args else kwargs['tensor']
        return func(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """What is built inside is on the meta device: it has names and shapes, and no values."""
    with torch.device('meta'), _NoInitialisation():
        yield


def outline(model: dict[str, Any]) -> nn.Module:
    """The segmentor of a config's model section, without values."""
    with without_values():
        return build_segmentor(model)


def classifier_entries(model: dict[str, Any]) -> frozenset[str]:
    """Names of a segmentor's entries whose shape depends on the number of classes: its classifiers, HRDA's too."""
    two, three = (outline(_with_classes(model, number)).state_dict() for number in (2, 3))
    return frozenset(name for name in two if two[name].shape != three[name].shape)


def _with_classes(model: dict[str, Any], number: int) -> dict[str, Any]:
    model = copy.deepcopy(dict(model))
    for name in ('decode_head', 'auxiliary_head'):
        part = model.get(name)
        for head in part if isinstance(part, (list, tuple)) else [part]:
            if head is not None:
                head['num_classes'] = number
    return model
