"""Fixtures and reporting for all tests."""
from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tests.parity.golden import Case


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line('markers', 'golden(file): the case comes from this golden file')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker('golden')
        if marker:
            item.user_properties.append(('golden', marker.args[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    case = getattr(item, 'callspec', None) and item.callspec.params.get('case')
    if isinstance(case, Case) and case.problem:
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
