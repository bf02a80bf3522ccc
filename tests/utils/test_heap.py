"""Freed memory is there for the next tensor."""
from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mmseg.utils.heap import keep_freed_memory

PROGRAM = """
import resource
import torch
from mmseg.utils.heap import keep_freed_memory
assert keep_freed_memory(torch.device('cpu'))
def use():
    for _ in range(16):
        torch.ones(2**23)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='of glibc')
def test_large_tensors_get_the_pages_of_those_before_them():
    faults = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 16 * 4096  # 16 times 32 MiB are 16 times 8,192 pages; small tensors may break a block


def test_nothing_changes_for_a_gpu():
    assert keep_freed_memory(torch.device('cuda')) is False
