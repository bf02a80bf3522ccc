"""What the processes of one training or test do together; alone, each of these functions is a plain one.

All processes make the same calls in the same order. They meet on the CPU before they exchange anything: there a process
that has ended is noticed and named, instead of leaving the devices of the others in an exchange that never ends.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mmseg.errors import ProcessLost

T = TypeVar('T')


@dataclass
class _World:
    """This process among all; ``control`` is the gloo group that carries what lies on the CPU, None the default one."""
    rank: int = 0
    count: int = 1
    control: Any = None


_world = _World()


def join(rank: int, count: int, control: Any = None) -> None:
    """Be process ``rank`` of ``count`` from now on; torch's process group is there already."""
    _world.rank, _world.count, _world.control = rank, count, control


def go_on_alone() -> None:
    """After :class:`ProcessLost`: be the only process, so that what is left to do, such as saving, asks nobody."""
    _world.rank, _world.count, _world.control = 0, 1, None


def rank() -> int:
    """Number of this process, from 0."""
    return _world.rank


def count() -> int:
    """Number of processes."""
    return _world.count


def is_main() -> bool:
    """Whether this is process 0, which logs and saves."""
    return _world.rank == 0


def meet() -> None:
    """Wait for all processes.

    Raises:
        ProcessLost: if one has ended, or does not come within the time limit. Process 0 knows which.
    """
    if _world.count == 1:
        return
    try:
        dist.monitored_barrier(_world.control, wait_all_ranks=True)
    except RuntimeError as error:
        raise ProcessLost(_who_is_lost(str(error))) from error


def _who_is_lost(error: str) -> str:
    missing = re.findall(r'Ranks ([\d, ]+) failed', error)
    if missing:
        return f'process {missing[-1]} of {_world.count} (counted from 0) has ended or does not answer'
    return 'process 0 has ended. If another one had ended before, process 0 has named it'


def _exchange(collective: Callable[[], Any]) -> None:
    meet()
    try:
        collective()
    except RuntimeError as error:
        raise ProcessLost(f'a process has ended during an exchange: {error}') from error


def _group(tensor: Tensor) -> Any:
    return None if tensor.is_cuda else _world.control


def add_up(tensor: Tensor) -> Tensor:
    """Replace ``tensor`` by its sum over all processes, which gets the same bits everywhere; returns it.

    Raises:
        ProcessLost: as everything here that exchanges something.
    """
    if _world.count > 1:
        _exchange(lambda: dist.all_reduce(tensor, group=_group(tensor)))
    return tensor


def largest(value: int) -> int:
    """The largest ``value`` of all processes."""
    if _world.count == 1:
        return value
    box = torch.tensor([value])
    _exchange(lambda: dist.all_reduce(box, dist.ReduceOp.MAX, group=_world.control))
    return int(box)


def copy_from_main(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of process 0."""
    if _world.count > 1:
        _exchange(lambda: [dist.broadcast(tensor.detach(), 0, group=_group(tensor)) for tensor in tensors])


def from_main(make: Callable[[], T]) -> T:
    """What process 0 makes, for all of them; the others do not call ``make``."""
    if _world.count == 1:
        return make()
    box: list[Any] = [make() if is_main() else None]
    _exchange(lambda: dist.broadcast_object_list(box, 0, group=_world.control))
    return box[0]


def gather(value: T) -> list[T]:
    """The values of all processes, by rank, in process 0; [] in the others."""
    if _world.count == 1:
        return [value]
    box: list[Any] | None = [None] * _world.count if is_main() else None
    _exchange(lambda: dist.gather_object(value, box, 0, group=_world.control))
    return box or []


@contextmanager
def main_first() -> Iterator[None]:
    """Process 0 goes through the block first (and leaves files for the others), then the others do."""
    if not is_main():
        meet()
    yield
    if is_main():
        meet()
