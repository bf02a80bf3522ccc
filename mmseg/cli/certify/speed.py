"""How fast and within what memory: training steps, and the estimates of their memory."""
from __future__ import annotations

import os
from typing import Any

import torch

from mmseg.apis.benchmark import bench_train
from mmseg.cli.benchmark import parse_args
from mmseg.cli.certify.methods import METHODS, training
from mmseg.cli.certify.results import Report
from mmseg.doctor.memory import estimated_bytes
from mmseg.utils.speed import calibrate

MIB = 2**20


def speed(report: Report, method: str, precision: str, how: str, device: str, miniature: bool, **_: Any) -> None:
    """The training step of a method, and matrix products beside it: ``how`` is 'eager' or 'compiled'."""
    cfg, size = training(method, miniature, precision)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == 'TF32'
    iters, warmup = (2, 1) if miniature else (8, 3)
    args = parse_args([
        METHODS[method].config, '--size', *map(str, size), '--iters', str(iters), '--warmup', str(warmup), '--device',
        device, *(['--compile'] if how == 'compiled' else [])])
    place = torch.device(device)
    found = bench_train(cfg, args, place)
    if place.type == 'cuda':
        free, total = torch.cuda.mem_get_info(place)
        found.update(peak_reserved_mib=torch.cuda.max_memory_reserved(place) / MIB, used_mib=(total - free) / MIB)
    products = calibrate(place, torch.bfloat16 if precision == 'bf16' else torch.float32)
    report(f'{method}, {precision}, {how}', size=list(size), products_gflops=products, **found)


def memory(report: Report, method: str, precision: str, miniature: bool, **_: Any) -> None:
    """The peak memory of a training step, estimated on the CPU while the device does something else."""
    os.nice(10)  # a step that is measured meanwhile needs a core to launch its kernels
    cfg, size = training(method, miniature, precision)
    report(f'memory, {method}, {precision}', estimated_mib=estimated_bytes(cfg, size) / MIB)
