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
torch.ones(2**24)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(2**23)  # half of it, so that what else is allocated does not matter
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='of glibc')
def test_large_tensors_get_the_pages_of_those_before_them():
    faults = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 1000  # four times 32 MiB are 32,768 pages


def test_nothing_changes_for_a_gpu():
    assert keep_freed_memory(torch.device('cuda')) is False
