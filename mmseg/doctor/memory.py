"""How much memory a training step keeps for its backward passes."""
from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn


class SavedBytes:
    """Context that counts what autograd keeps of the forwards inside: ``peak`` bytes at the most at one time.

    Memory that several operations share counts once, parameters not at all.

    Args:
        model: whose parameters are left out.
    """

    def __init__(self, model: nn.Module) -> None:
        self.peak = self._now = 0
        self._users: Counter[int] = Counter()
        self._own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: _Kept(tensor, self), lambda kept: kept())

    def __enter__(self) -> SavedBytes:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def add(self, tensor: Tensor, users: int) -> None:
        """One user more (1) or less (-1) of the tensor's memory."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._own:
            return
        before = self._users[place]
        self._users[place] += users
        if not (before and self._users[place]):  # the first user came, or the last one went
            self._now += users * storage.nbytes()
            self.peak = max(self.peak, self._now)


class _Kept:
    """A saved tensor; it ends with the graph that holds it."""

    def __init__(self, tensor: Tensor, counter: SavedBytes) -> None:
        self.tensor, self.counter = tensor.detach(), counter
        counter.add(self.tensor, 1)

    def __call__(self) -> Tensor:
        return self.tensor

    def __del__(self) -> None:
        self.counter.add(self.tensor, -1)


def fixed_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of all weights and buffers, of the gradients, and of the optimizer's state; makes a step."""
    optimizer.step()  # with gradient accumulation there was none yet
    weights = [*model.parameters(), *model.buffers()]
    gradients = [p for p in model.parameters() if p.requires_grad]
    state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in (*weights, *gradients, *state))
