"""Activation checkpointing: compute again in the backward pass instead of keeping (Chen et al., 2016)."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class _SparedStatistics:
    """Lets batch norms move copies of their running statistics: without any they would keep other tensors.

    It can be entered again, as a graph that is kept is computed again for each backward pass.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]

    def __enter__(self) -> None:
        self.own = [(norm, dict(norm.named_buffers())) for norm in self.norms]
        for norm, statistics in self.own:
            for name, value in statistics.items():
                setattr(norm, name, value.clone())

    def __exit__(self, *error: Any) -> None:
        for norm, statistics in self.own:
            for name, value in statistics.items():
                setattr(norm, name, value)


def recomputed(module: nn.Module, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` without its intermediate results, which the backward pass computes a second time.

    The second pass draws the same random numbers (dropout, drop path), and leaves running statistics alone. Without
    gradients, as in a teacher, there is no second pass and this is a plain call; so it is under torch.compile, whose
    own planner decides what to recompute.

    Args:
        module: holds the batch norms that ``function`` runs through.
        function: of tensors, or lists of them, to tensors.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), _SparedStatistics(module)))
