"""What the student's batch norms learn from branches that testing has nothing of."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH_NORMS = ('frozen', 'update')  # of running statistics; both normalise with the batch


def statistics(network: nn.Module, choice: str) -> AbstractContextManager:
    """Context of forwards in which running statistics are 'frozen', or 'update' as in any training."""
    return frozen_statistics(network) if choice == 'frozen' else nullcontext()


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch norms in training go on to normalise with the batch, but their running statistics stay as they are."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
