"""How long something takes on a machine that may not keep its speed, and how much there is to compute."""
from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

MAX_CALIBRATION_SHIFT = 0.15
MAX_ATTEMPTS = 3
SIDES = dict(cpu=2048, cuda=8192)  # of the matrices that calibrate


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; on the CPU there is nothing to wait for."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def calibrate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Rate of a large matrix product of numbers of a type in GFLOP/s (median of 5)."""
    side = SIDES[device.type]
    a = torch.randn(side, side, device=device, dtype=dtype)
    times = []
    for _ in range(6):
        synchronize(device)
        start = time.perf_counter()
        a @ a
        synchronize(device)
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times[1:]) / 1e9


def peak_memory_mib(device: torch.device) -> float:
    """Peak memory: allocated on the GPU, or resident of the whole process."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _convolution_backward_flops(grad: Any, img: Any, weight: Any, *args: Any, out_shape: Any = None,
                                **kwargs: Any) -> int:
    """Of both gradients; torch's own count takes grouped convolutions for dense ones."""
    wanted = sum(args[-1][:2])
    positions = grad[0] * grad[2] * grad[3]
    return wanted * 2 * positions * weight[0] * weight[1] * weight[2] * weight[3]


def flop_counter() -> FlopCounterMode:
    """Counts matrix products and convolutions; dilated depthwise ones on the CPU with the zeros around them."""
    from torch.utils.flop_counter import FlopCounterMode  # loads Triton, 100 MiB that no training has
    mapping = {torch.ops.aten.convolution_backward: _convolution_backward_flops}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def measure(run: Callable[[], Any], iters: int, warmup: int, device: torch.device) -> dict[str, Any]:
    """Seconds per call of ``run``, repeated while the machine's speed moves.

    Args:
        run: what to measure.
        iters: measured calls.
        warmup: calls before them.
        device: where it computes.

    Returns:
        ``median_seconds``, ``min_seconds``, ``seconds_each``; ``cpu_seconds_each`` of all threads, which other programs
        disturb less; ``sgemm_gflops`` before and after, and whether they agree (``calibration_ok``);
        ``peak_memory_mib``.
    """
    for attempt in range(MAX_ATTEMPTS):
        before = calibrate(device)
        for _ in range(warmup):
            run()
        times, processor = [], []
        for _ in range(iters):
            synchronize(device)
            start, busy = time.perf_counter(), time.process_time()
            run()
            synchronize(device)
            times.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
        after = calibrate(device)
        shift = abs(after / before - 1)
        if shift <= MAX_CALIBRATION_SHIFT:
            break
        print(f'the machine became {100 * shift:.0f} % faster or slower during attempt {attempt + 1}: measuring again')
    return dict(
        median_seconds=statistics.median(times),
        min_seconds=min(times),
        seconds_each=times,
        cpu_seconds_each=processor,
        sgemm_gflops=[before, after],
        calibration_ok=shift <= MAX_CALIBRATION_SHIFT,
        peak_memory_mib=peak_memory_mib(device))
