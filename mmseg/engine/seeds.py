"""Seeds and determinism of a run."""
from __future__ import annotations

import os
import random

import numpy as np
import torch


def random_seed() -> int:
    """A fresh seed in [0, 2**31) for runs that name none."""
    return int.from_bytes(os.urandom(4), 'little') & 0x7fffffff


def seed_everything(seed: int, deterministic: bool = False, benchmark: bool = False) -> None:
    """Seed Python, numpy and torch, and choose how cuDNN selects its kernels.

    Args:
        seed: seed of the run, >= 0.
        deterministic: only deterministic kernels where there are any (torch warns where there is none).
        benchmark: let cuDNN try its kernels; ignored if ``deterministic``.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if deterministic:
        # cuBLAS reads it when the first CUDA context is made
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    if deterministic or torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = benchmark and not deterministic
