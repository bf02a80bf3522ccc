"""Is what the device computes right: environment, recorded numbers, and steps that never wait for the device."""
from __future__ import annotations

import os
import subprocess
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from mmseg.cli.certify.methods import METHODS, training
from mmseg.cli.certify.results import Report
from mmseg.config.memory import GIB
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.doctor.memory import LATE
from mmseg.engine.env import collect_env
from mmseg.engine.optim import build_optim_wrapper
from mmseg.models import build_train_model
from mmseg.utils.waiting import never_waits, pinned

TESTS = Path(__file__).resolve().parents[3] / 'tests'
PARITY = {  # those of the recorded numbers that a device computes
    'networks': ('test_forward.py', 'test_forward_hrda.py'),
    'losses and gradients': ('test_losses_grads.py', ),
    'training steps': ('test_train_step.py', ),
    'steps of EBDA and DIDA': ('test_dida_ebda_steps.py', ),
    'parts of the methods': ('test_uda_components.py', 'test_mic_components.py', 'test_dida_components.py',
                             'test_entropy_balance.py'),
}
SMALL_PARITY = ('test_entropy_balance.py', )


def environment(report: Report, device: str, **_: Any) -> None:
    """Versions, driver and memory; fails where torch has no code for the device."""
    env = collect_env()
    place = torch.device(device)
    if place.type == 'cuda':
        found = torch.cuda.get_device_properties(place)
        env.update(device=f'{found.name}, compute capability {found.major}.{found.minor}, '
                          f'{found.multi_processor_count} multiprocessors, {found.total_memory / GIB:.1f} GiB',
                   driver=_driver())
    ones = torch.ones(8, 8, device=place)
    assert (ones @ ones).sum().item() == 8**3
    report('environment', **env)


def _driver() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]
    return 'unknown'


class _Outcomes:
    """A pytest plugin that counts, and keeps what failed."""

    def __init__(self) -> None:
        self.passed, self.skipped, self.failures = 0, 0, {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            crash = getattr(report.longrepr, 'reprcrash', None)
            words = str(crash.message if crash else report.longrepr).strip().splitlines()
            self.failures[report.nodeid.rpartition('::')[2]] = words[0] if words else ''
        elif report.skipped:
            self.skipped += 1
        elif report.when == 'call':
            self.passed += 1


def parity(report: Report, group: str, device: str, miniature: bool, **_: Any) -> None:
    """Run a group of the tests against recorded numbers, with float32 products in full precision."""
    name = f'parity: {group}'
    if not (TESTS / 'parity').is_dir():
        report(name, 'not run', 'needs a clone of the repository')
        return
    try:
        import pytest
    except ImportError:
        report(name, 'not run', 'needs pytest: pip install pytest')
        return
    os.environ['PARITY_DEVICE'] = device
    files = [str(TESTS / 'parity' / file) for file in (SMALL_PARITY if miniature else PARITY[group])]
    outcomes = _Outcomes()
    status = pytest.main(['-p', 'no:cacheprovider', '--tb=short', *files], plugins=[outcomes])
    total = outcomes.passed + len(outcomes.failures)
    counts = dict(tests=total, skipped=outcomes.skipped, failures=outcomes.failures)
    if outcomes.failures:
        first, words = next(iter(outcomes.failures.items()))
        report(name, 'failed', f'{len(outcomes.failures)} of {total} tests; the first is {first}: {words}', **counts)
    elif status or not total:
        report(name, 'failed', f'pytest ended with status {int(status)} after {total} tests', **counts)
    else:
        report(name, detail=f'{total} tests', **counts)


def waiting(report: Report, device: str, **_: Any) -> None:
    """A step of each method, of MiT-B0 and small crops, in which nothing may wait for the device."""
    for method in METHODS:
        try:
            _step_without_waiting(method, device)
        except Exception as error:  # the other methods are looked at all the same
            traceback.print_exc()
            report(f'no waiting: {method}', 'failed', f'{error}'.strip().partition('\n')[0])
        else:
            report(f'no waiting: {method}')


def _step_without_waiting(method: str, device: str) -> None:
    cfg, size = training(method, miniature=True)
    model = build_train_model(cfg).to(device).train()
    wrapper = build_optim_wrapper(model, cfg)
    batch = pinned(synthetic_batch(cfg.data.samples_per_gpu, size, model.num_classes))
    model.start(seed=0, rank=0, iteration=LATE)
    model.train_step(batch, wrapper)  # what is made once may wait
    with never_waits(device):
        model.train_step(batch, wrapper)
