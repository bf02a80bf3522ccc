"""The peak memory of a training iteration, estimated without a GPU and without computing.

One whole iteration runs on tensors without content (torch's fake tensors): teacher, all branches with their backward
passes, optimizer step. What every operation allocates is added up while it lives; the largest sum is the peak. It holds
weights, gradients, AdamW's moments, teacher and frozen network. Not in it: the CUDA context, what libraries use inside
of an operation, and gaps between blocks of memory; MARGIN and CONTEXT_GIB stand for them where a card is named.
"""
from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg.config.memory import GIB
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.engine.optim import build_optim_wrapper
from mmseg.models import build_train_model, preprocess
from mmseg.models.layers import QuickConv2d
from mmseg.models.outline import without_values

CARDS = (8, 11, 16, 24, 32, 40, 48, 80)  # GiB
MARGIN, CONTEXT_GIB = 1.15, 0.75  # assumptions, not measurements
LATE = 10**4  # an iteration at which every bank is warm


class LiveMemory(TorchDispatchMode):
    """Adds up the bytes of all tensors that operations inside make, shared memory once, while they live.

    Attributes:
        now, peak: bytes at present, and the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._drop, key, storage.nbytes())
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _norm_in_fp32(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Layer norm as a GPU's autocast has it; that of CPUs, which the estimate runs under, leaves it in bfloat16."""
    return LAYER_NORM(x.float() if torch.is_autocast_enabled('cpu') else x, *args, **kwargs)


LAYER_NORM = F.layer_norm


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Inside, ``owner`` has another attribute."""
    own = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, own)


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Tensors without content, and what computes in another way on a CPU replaced by what a GPU does."""
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(_replaced(QuickConv2d, '_conv_forward', nn.Conv2d._conv_forward))
        stack.enter_context(_replaced(F, 'layer_norm', _norm_in_fp32))
        # nothing without content may stay in the cache
        stack.enter_context(_replaced(preprocess, '_constants', preprocess._constants.__wrapped__))
        yield


def allocate(model: nn.Module) -> nn.Module:
    """The model from the meta device with memory for parameters and buffers."""
    for module in model.modules():
        for own, wrap in ((module._parameters, nn.Parameter), (module._buffers, lambda x, _: x)):
            own.update({name: wrap(torch.empty(x.shape, dtype=x.dtype), x.requires_grad)
                        for name, x in own.items() if x is not None})
    return model


def iterate(model: nn.Module, cfg: Any, size: tuple[int, int]) -> None:
    """One training iteration, or the first of its parts, with images of ``size`` (height, width) and all state."""
    wrapper = build_optim_wrapper(model.train(), cfg)
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    wrapper.optimizer.step()  # the moments are there from the second iteration on
    model.start(seed=0, rank=0, iteration=LATE, parts=wrapper.accumulate)
    model.train_step(synthetic_batch(cfg.data.samples_per_gpu, size, model.num_classes), wrapper)


def estimated_bytes(cfg: Any, size: tuple[int, int]) -> int:
    """Most bytes that live at one time of a training iteration, without computing it.

    Args:
        cfg: a whole config.
        size: (height, width) of the images.
    """
    with without_values():
        model = build_train_model(cfg)
    with as_on_a_gpu(), LiveMemory() as memory:
        iterate(allocate(model), cfg, size)
    return memory.peak


def measured_bytes(cfg: Any, size: tuple[int, int]) -> int:
    """The same, from what torch's allocator reports while this CPU computes the iteration."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        iterate(build_train_model(cfg), cfg, size)
    changes = [(event.start_ns(), event.nbytes()) for event in profiler.profiler.kineto_results.events()
               if event.name() == '[memory]']
    return max(accumulate(change for _, change in sorted(changes)))


def card(peak: int) -> str:
    """The smallest class of card for a peak, margin and context included."""
    needed = peak / GIB * MARGIN + CONTEXT_GIB
    return next((f'{size} GB' for size in CARDS if needed <= size), f'more than {CARDS[-1]} GB')
