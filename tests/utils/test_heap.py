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
sizes = [2**24 + 2**16 * i for i in range(3)]  # cells: 64 MiB and a little more
[torch.ones(size) for size in sizes]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
[torch.ones(size) for size in sizes]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='of glibc')
def test_a_second_round_of_large_tensors_gets_the_pages_of_the_first():
    faults = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 1000  # 192 MiB are 49,152 pages


def test_nothing_changes_for_a_gpu():
    assert keep_freed_memory(torch.device('cuda')) is False
