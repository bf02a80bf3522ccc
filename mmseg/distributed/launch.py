"""Joining the processes that torchrun or Slurm has started: ranks, devices, process groups."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from mmseg.distributed import processes
from mmseg.utils.commands import called
from mmseg.utils.device import resolve_device

# How long the others wait for a process that lives but does not come: one may count classes or save meanwhile.
PATIENCE = timedelta(minutes=30)
TORCHRUN = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
SLURM = ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID', 'SLURM_JOB_ID')


@contextmanager
def joined(launcher: str, device: str | None) -> Iterator[str | None]:
    """Be one of the processes that ``launcher`` has started, within the block; gives the device of this one.

    The group is left when the block ends well; after an error it ends with this process, so that nothing waits.

    Args:
        launcher: 'none', 'pytorch' (torchrun, tools/dist_train.sh) or 'slurm' (srun).
        device: what config or command line say: None, 'auto', 'cpu', 'cuda'; with one process also 'cuda:N'.

    Raises:
        ValueError: if the environment is not that of the launcher, or the device is not there.
        ConnectionError: if the processes do not find each other.
    """
    if launcher == 'none':
        _refuse_torchrun()
        yield device
        return
    rank, count, local = _places(launcher)
    own = _own_device(device, local, launcher)
    try:
        # the group is there before MMEngine looks for one: without a GPU its own start would fail
        dist.init_process_group('nccl' if own.type == 'cuda' else 'gloo', rank=rank, world_size=count, timeout=PATIENCE)
        control = dist.new_group(backend='gloo', timeout=PATIENCE) if own.type == 'cuda' else None
    except RuntimeError as error:
        raise ConnectionError(f'process {rank} of {count} did not find the others at {os.environ["MASTER_ADDR"]}:'
                              f'{os.environ["MASTER_PORT"]} ({error}): choose a free port, with PORT for '
                              'sh tools/dist_train.sh or MASTER_PORT for Slurm') from error
    processes.join(rank, count, control)
    yield str(own)
    processes.go_on_alone()
    dist.destroy_process_group()


def _refuse_torchrun() -> None:
    if 'LOCAL_RANK' in os.environ and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise ValueError(f'torchrun has started {os.environ["WORLD_SIZE"]} processes, which would all do the same '
                         'thing: add --launcher pytorch')


def _places(launcher: str) -> tuple[int, int, int]:
    """Rank, number of processes, and rank on this machine."""
    names, remedy = ((TORCHRUN, 'sh tools/dist_train.sh CONFIG N or torchrun') if launcher == 'pytorch' else
                     (SLURM, f'srun {called("train")} CONFIG --launcher slurm'))
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(f'--launcher {launcher} needs {", ".join(missing)} in the environment: start with {remedy}')
    rank, count, local = (int(os.environ[name]) for name in names[:3])
    if launcher == 'slurm':
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(count))
        if 'MASTER_ADDR' not in os.environ:
            os.environ['MASTER_ADDR'] = _first_host()
        os.environ.setdefault('MASTER_PORT', str(20000 + int(os.environ['SLURM_JOB_ID']) % 10000))
    return rank, count, local


def _first_host() -> str:
    """The first machine of a Slurm job."""
    nodes = os.environ.get('SLURM_JOB_NODELIST', '')
    try:
        answer = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, timeout=30)
        return answer.stdout.split()[0]
    except (OSError, subprocess.TimeoutExpired, IndexError) as error:
        raise ValueError(f'scontrol does not name the machines of this job (SLURM_JOB_NODELIST={nodes}): set '
                         'MASTER_ADDR to the first one') from error


def _own_device(name: str | None, local: int, launcher: str) -> torch.device:
    """A GPU for each process of this machine; all processes share the CPU."""
    device = resolve_device(name)
    if device.type == 'cpu':
        return device
    if device.index is not None:
        raise ValueError(f'device {name!r} is one GPU for all processes: say cuda, and choose GPUs by '
                         'CUDA_VISIBLE_DEVICES')
    seen = torch.cuda.device_count()
    if launcher == 'slurm' and seen == 1:
        local = 0  # Slurm has given each process a GPU of its own
    if local >= seen:
        raise ValueError(f'process {local} of this machine has no GPU, torch sees {seen}: start at most {seen} '
                         'processes on it')
    torch.cuda.set_device(local)
    return torch.device('cuda', local)
