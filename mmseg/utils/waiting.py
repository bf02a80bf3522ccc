"""Whether a training step waits for the device: the same question on a GPU and on a CPU."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ATEN = torch.ops.aten
OPERATIONS = {  # whose result, or its size, has to be known before the program goes on
    ATEN._local_scalar_dense, ATEN.is_nonzero, ATEN.equal, ATEN.nonzero, ATEN.masked_select, ATEN.bincount,
    ATEN._unique, ATEN._unique2, ATEN.unique_dim, ATEN.unique_consecutive}
INDEXED = {ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_}
TO_THE_CPU = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__}


class _Operations(TorchDispatchMode):
    """Refuses operations that would wait; optimizers may read their step counters, which live on the CPU."""
    optimizing = False

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        packet = function.overloadpacket
        masked = packet in INDEXED and any(x.dtype in (torch.bool, torch.uint8) for x in tree_leaves(args[1])
                                           if isinstance(x, torch.Tensor))
        if (packet in OPERATIONS or masked) and not self.optimizing:
            raise RuntimeError(f'{function} waits for the device')
        return function(*args, **(kwargs or {}))


class _Transfers(TorchFunctionMode):
    """Refuses what copies a tensor to the CPU: of one that is there already no operation tells."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in TO_THE_CPU:
            raise RuntimeError(f'Tensor.{function.__name__} waits for the device')
        return function(*args, **(kwargs or {}))


@contextmanager
def never_waits(device: str) -> Iterator[None]:
    """Raises RuntimeError where the program inside waits for the device; on a CPU, where it would for a GPU."""
    if torch.device(device).type == 'cuda':
        torch.cuda.set_sync_debug_mode('error')
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode('default')
        return
    with _Operations() as operations, _Transfers(), ExitStack() as hooks:
        for register, inside in ((register_optimizer_step_pre_hook, True), (register_optimizer_step_post_hook, False)):
            hooks.callback(register(lambda *_, now=inside: setattr(operations, 'optimizing', now)).remove)
        yield


def pinned(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as the loader gives it to a GPU, so that its copy need not be waited for."""
    if not torch.cuda.is_available():
        return batch
    return {key: value.pin_memory() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
