"""tools/certify: a check that fails, crashes or hangs is named and leaves the others alone; in miniature on the CPU."""
from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg.cli import certify
from mmseg.cli.certify import checks, jobs, plan, speed, trainings
from mmseg.cli.certify.jobs import Job, Jobs
from mmseg.cli.certify.page import Page
from mmseg.cli.certify.results import Result

NAMES = ('first', 'second')


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(Jobs, 'child', 'tests.tools.pretended_job')
    monkeypatch.setattr(jobs, 'FAREWELL', 0.2)
    return Jobs(tmp_path, 'cpu', True, time.monotonic() + 600)


@pytest.mark.parametrize('kind, reason', [
    ('well', 'is wrong'), ('crash', 'the process was ended by SIGSEGV'),
    ('error', 'OutOfMemoryError: CUDA out of memory')])
def test_what_was_found_before_a_process_ended_counts(pretended: Jobs, kind: str, reason: str) -> None:
    first, second = pretended.run(Job(kind, NAMES, 300))
    assert (first.status, first.detail, first.values) == ('passed', 'in time', dict(number=1))
    assert (second.name, second.status, second.detail) == ('second', 'failed', reason)


def test_what_hangs_is_ended(pretended: Jobs) -> None:
    [second] = pretended.run(Job('hang', ('second', ), 3))
    assert second.status == 'failed' and 'its limit' in second.detail
    assert not pretended._running


def test_what_the_time_does_not_suffice_for_was_not_run(pretended: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, 'SHORTEST', 1)
    pretended.deadline = time.monotonic() + 3
    [second] = pretended.run(Job('hang', ('second', ), 300))
    assert second.status == 'not run' and second.detail.startswith('out of time: stopped after')
    [second] = pretended.run(Job('hang', ('second', ), 300))
    assert second == Result('second', 'not run', 'out of time')


def test_without_time_the_page_names_everything(tmp_path: Path) -> None:
    assert certify.main(['--device', 'cpu', '--minutes', '0', '--out', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'certificate.json').read_text())
    assert {result['status'] for result in found['results']} == {'not run'}
    names = [result['name'] for result in found['results']]
    assert {'environment', 'no waiting: DIDA', trainings.RESUMED, 'DAFormer, fp32, eager'} <= set(names)


def test_the_plan_of_a_gpu_has_each_precision_of_each_method() -> None:
    steps = [job.names[0] for job in plan.measurements(miniature=False)]
    assert len(steps) == len(set(steps)) == 5 * 3 * 2
    files = {file for group in checks.PARITY.values() for file in group}
    assert files and all((checks.TESTS / 'parity' / file).is_file() for file in files)


def measured(**changes: Any) -> dict[str, Any]:
    return dict(size=[512, 512], median_seconds=0.5, images_per_second=8., calibration_ok=True,
                peak_memory_mib=2048., products_gflops=40000., **changes)


def test_the_page_compares_with_products_and_estimate(tmp_path: Path) -> None:
    page = Page(tmp_path, 'cuda', False)
    for result in (
            Result('environment', values=dict(device='a card', torch='2.14')),
            Result('parity: networks', 'failed', '1 of 2 tests'),
            Result('memory, HRDA, bf16', values=dict(estimated_mib=1024.)),
            Result('HRDA, fp32, eager', values=measured(gflop_per_call=5000.)),
            Result('HRDA, bf16, compiled', values=measured()),
            Result('MIC, TF32, eager', 'not run', 'out of time')):
        page.add(result)
    text = (tmp_path / 'certificate.md').read_text()
    assert text.startswith('# a card\n') and '**Failed: parity: networks.**' in text and 'miniature' not in text
    assert '| HRDA | 512 x 512 | bf16 | compiled | 0.500 | 8.0 | 10 | 25 % | 2.00 GiB | 1.00 GiB |' in text
    assert '| MIC |  | TF32 | eager | not run: out of time |' in text
    assert page.failed() == ['parity: networks']


def test_an_installed_package_has_no_recorded_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, 'TESTS', tmp_path / 'absent')
    said: list[tuple] = []
    checks.parity(lambda *words: said.append(words), 'networks', 'cpu', True)
    assert said == [('parity: networks', 'not run', 'needs a clone of the repository')]


def test_weights_that_differ_are_counted(tmp_path: Path) -> None:
    for name, value in (('one', 1.), ('other', 1.5)):
        (tmp_path / name).mkdir()
        state = dict(same=torch.zeros(2), moved=torch.full((3, ), value))
        torch.save(dict(state_dict=state), tmp_path / name / f'iter_{trainings.ITERATIONS}.pth')
    assert trainings.compare(tmp_path / 'one', tmp_path / 'one', 'twice') == 'twice: 2 tensors'
    with pytest.raises(trainings.Differs, match='1 of 2 tensors differ, by up to 0.5'):
        trainings.compare(tmp_path / 'one', tmp_path / 'other', 'twice')


def test_a_part_in_miniature(tmp_path: Path) -> None:
    assert certify.main(['--device', 'cpu', '--only', 'environment', '--out', str(tmp_path)]) == 0
    text = (tmp_path / 'certificate.md').read_text()
    assert f'| torch | {torch.__version__} |' in text and '**In miniature**' in text
    assert '1 passed, 0 failed, 0 not run' in text


def test_a_measured_step_fills_its_row(tmp_path: Path) -> None:
    page = Page(tmp_path, 'cpu', True)
    speed.speed(lambda name, **values: page.add(Result(name, values=values)), 'DAFormer', 'fp32', 'eager', 'cpu', True)
    rows = page.measurements().splitlines()
    [row] = [line for line in rows if line.startswith('| DAFormer | 64 x 64 | fp32 | eager')]
    assert all(cell.strip() for cell in row.split('|')[1:-2])  # the last one is the estimate, which nobody has made


@pytest.mark.slow
def test_everything_in_miniature(tmp_path: Path) -> None:
    assert certify.main(['--device', 'cpu', '--minutes', '30', '--out', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'certificate.json').read_text())
    assert {result['status'] for result in found['results']} == {'passed'}, found
    assert os.listdir(tmp_path / 'logs')
