"""Fixtures and reporting for all tests.

The process that hands out tests to others reads this file, too, and runs none: torch and ours are imported where used.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures to train on, shared by all tests that change none of them."""
    from tests.engine.tiny import write_images

    return write_images(tmp_path_factory.mktemp('images'))


def _process_state() -> dict[str, object]:
    state: dict[str, object] = {str(number): signal.getsignal(number)
                                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    state['logging.disable'] = logging.root.manager.disable
    if torch := sys.modules.get('torch'):
        state.update(threads=torch.get_num_threads(), dtype=torch.get_default_dtype())
    return state


@pytest.fixture(autouse=True)
def leaves_the_process_as_it_was() -> Iterator[None]:
    """Tools are called in the process of the tests: what one of them leaves changed, later tests would meet."""
    before = _process_state()
    yield
    if torch := sys.modules.get('torch'):
        torch.use_deterministic_algorithms(False)  # a training that asks for it keeps it for its process
    after = _process_state()
    assert {name: after[name] for name in before} == before


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line('markers', 'golden(file): the case comes from this golden file')
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
    if workers > 1:  # they share the cores, and so do the programs that they start
        import torch

        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ['OMP_NUM_THREADS'] = str(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker('golden')
        if marker:
            item.user_properties.append(('golden', marker.args[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    case = getattr(item, 'callspec', None) and item.callspec.params.get('case')
    if item.get_closest_marker('golden') and getattr(case, 'problem', ''):
        pytest.fail(case.problem, pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many cases of each golden file passed, failed or were skipped."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for outcome in ('passed', 'failed', 'error', 'skipped'):
        for report in terminalreporter.stats.get(outcome, []):
            file = dict(getattr(report, 'user_properties', ())).get('golden')
            if file:
                counts[file][outcome] += 1
    if counts:
        terminalreporter.section('cases per golden file')
    for file in sorted(counts):
        terminalreporter.write_line(f'{file}: ' + ', '.join(f'{n} {outcome}' for outcome, n in counts[file].items()))
