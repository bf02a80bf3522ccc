"""Memory of large tensors on the CPU, which Linux would hand out and take back again and again."""
from __future__ import annotations

import ctypes
import sys

import torch

# of mallopt in glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_freed_memory(device: torch.device) -> bool:
    """For computing on the CPU, let glibc keep what is freed instead of giving it back to the system.

    By default it maps every block of 32 MiB or more anew, and the system fills it with zeros, page by page: a fifth of
    a training step on the CPU. The process then stays as large as it once was.

    Args:
        device: that the networks compute on. Nothing changes for a GPU, whose memory torch keeps itself.

    Returns:
        Whether it is done: the C library has to be glibc.
    """
    if device.type != 'cpu' or not sys.platform.startswith('linux'):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'gnu_get_libc_version'):
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, NEVER))
