"""How a command ends: its exit status, and one line instead of a traceback."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmseg.errors import DataError, command


@pytest.mark.parametrize('returned', [None, {'mIoU': 0.5}, Path('out.pth'), 1e-6, '| a table |'], ids=repr)
def test_what_a_command_returns_to_python_is_no_exit_status(returned: Any) -> None:
    command(lambda: returned)


@pytest.mark.parametrize('status', [0, 1, 3])
def test_an_integer_is_the_exit_status(status: int) -> None:
    with pytest.raises(SystemExit) as end:
        command(lambda: status)
    assert end.value.code == status


def test_an_expected_error_is_one_line_that_names_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DataError('a.png is damaged')

    with pytest.raises(SystemExit, match='^error: a.png is damaged$'):
        command(fail)
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(SystemExit, match='^error in process 1 of 2: a.png is damaged$'):
        command(fail)


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        command(lambda: 1 / 0)
