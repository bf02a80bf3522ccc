"""Keeping the networks of several processes equal: gradients, running statistics, initial state."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.distributed import processes


@torch.no_grad()
def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over the processes, by one exchange of one flat copy.

    A parameter without a gradient counts as zero; if no process has one it stays without, as in a single process.

    Args:
        parameters: the same ones in the same order in every process, on one device.

    Raises:
        ProcessLost: if another process has ended; no gradient has changed then.
    """
    if processes.count() == 1:
        return
    given = parameters[0].new_ones(len(parameters), dtype=torch.float32)
    missing = [index for index, parameter in enumerate(parameters) if parameter.grad is None]
    for index in missing:
        given[index].zero_()
    flat = processes.add_up(torch.cat([
        *((torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters), given]))
    *means, given = flat.split([*(p.numel() for p in parameters), len(parameters)])
    torch._foreach_div_(means, processes.count())
    if missing:  # only then is something read from the device
        known = given.tolist()
        for index in (index for index in missing if known[index]):
            parameters[index].grad = torch.empty_like(parameters[index])
    targets = [(p.grad, mean.view_as(p)) for p, mean in zip(parameters, means) if p.grad is not None]
    torch._foreach_copy_([grad for grad, _ in targets], [mean for _, mean in targets])


@torch.no_grad()
def average_running_statistics(model: nn.Module) -> None:
    """Replace the running means and variances of all batch norms by their means over the processes.

    Raises:
        ProcessLost: if another process has ended.
    """
    statistics = [statistic for module in model.modules() if isinstance(module, _BatchNorm)
                  for statistic in (module.running_mean, module.running_var) if statistic is not None]
    if processes.count() == 1 or not statistics:
        return
    flat = processes.add_up(torch.cat(statistics)).div_(processes.count())
    torch._foreach_copy_(statistics, list(flat.split([len(statistic) for statistic in statistics])))


def share_state(model: nn.Module) -> None:
    """Let every process start from the parameters and buffers of process 0."""
    processes.copy_from_main([*model.parameters(), *model.buffers()])
