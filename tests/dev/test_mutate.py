"""The campaign of damaged files: nothing is silently wrong, nameless or fatal; and it would notice if it were."""
from __future__ import annotations

import logging
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dev import mutate
from dev.mutations.subject import BAD, damaged, judged
from mmseg.errors import DataError


def bad(results: list[mutate.Result]) -> list[str]:
    return [f'{result.outcome.kind}: {result.name}, seed {result.seed}: {result.outcome.text}' for result in results
            if result.outcome.kind in BAD]


def test_two_thousand_cases() -> None:
    results = list(mutate.campaign(list(mutate.SUBJECTS), 0, 2000))
    assert len(results) == 2000 and not bad(results)
    for name in mutate.SUBJECTS:
        kinds = [result.outcome.kind for result in results if result.name == name]
        assert kinds.count('named') > 50 and 'right' in kinds


@pytest.mark.slow
@pytest.mark.parametrize('name', mutate.SUBJECTS)
def test_twenty_thousand_cases_in_processes_of_their_own(name: str) -> None:
    results = list(mutate.campaign([name], 10_000, 20_000 // len(mutate.SUBJECTS), apart=True))
    assert len(results) == 2500 and not bad(results)


def test_trainings_of_two_iterations() -> None:
    results = list(mutate.campaign(['trainings'], 0, 40))
    assert not bad(results) and {'named', 'right'} == {result.outcome.kind for result in results}


@pytest.mark.slow
def test_two_thousand_trainings_in_processes_of_their_own() -> None:
    results = list(mutate.campaign(['trainings'], 10_000, 2000, apart=True))
    assert len(results) == 2000 and not bad(results)
    assert sum(result.outcome.kind == 'right' for result in results) > 100  # the others were refused at the start


def test_cases_are_the_same_again_and_apart() -> None:
    once, again, apart = (list(mutate.campaign(['zips'], 7, 6, apart)) for apart in (False, False, True))
    assert [result.outcome.kind for result in once] == [result.outcome.kind for result in again] == [
        result.outcome.kind for result in apart]
    assert [result.seed for result in apart] == list(range(7, 13))


def test_outcomes() -> None:
    def fail(error: Exception) -> object:
        raise error

    def outcome(use: object, seen: bool = True) -> str:
        return judged('change', use, lambda result: result == 1, ('a.png', ), seen).kind

    assert outcome(lambda: 1) == 'right' and outcome(lambda: 2) == 'silent' and outcome(lambda: 2, False) == 'unseen'
    assert outcome(lambda: fail(DataError('image a.png is damaged'))) == 'named'
    assert outcome(lambda: fail(DataError('something is damaged'))) == 'raw'
    assert outcome(lambda: fail(KeyError('a.png'))) == 'raw'


def test_damage_of_every_kind_is_drawn() -> None:
    rng = np.random.RandomState(0)
    drawn = [damaged(bytes(range(200)), rng) for _ in range(300)]
    assert len({name.split()[0] for name, _ in drawn}) == 11
    assert sum(content == bytes(range(200)) for _, content in drawn) < 20


def test_a_reader_without_checks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmseg.checkpoint.file._check_sums', lambda path: None)
    monkeypatch.setattr('mmseg.checkpoint.contents.check_finite', lambda state: None)
    monkeypatch.setattr(zipfile.ZipFile, 'testzip', lambda self: None)
    assert bad(list(mutate.campaign(['checkpoints'], 0, 150)))


def test_processes_that_end_or_hang_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\nif [ "$7" = 3 ]; then exec sleep 60; fi\nprintf "right\\tx\\n"; kill -SEGV $$\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(program))
    monkeypatch.setattr(mutate, 'PATIENCE', 1)
    outcomes = [result.outcome for result in mutate.tried_apart('zips', range(1, 5))]
    assert [outcome.kind for outcome in outcomes] == ['right', 'crash', 'crash', 'right']
    assert 'status -11' in outcomes[1].text and 'status -9' in outcomes[2].text


def test_the_command_says_what_was_found(capsys: pytest.CaptureFixture) -> None:
    assert mutate.main(['--only', 'zips', '--cases', '5']) == 0
    assert 'named' in capsys.readouterr().out
    assert logging.getLogger('mmseg').isEnabledFor(logging.WARNING)  # silent only while it damages files
