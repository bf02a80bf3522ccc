"""What a check has found, and how it gets from the process that checks to the one that writes the page."""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal['passed', 'failed', 'not run']
Report = Callable[..., None]  # (name, status='passed', detail='', **values), see :func:`reporter`


@dataclass
class Result:
    """One line of the page.

    Attributes:
        name: of the check or measurement.
        status: how it ended.
        detail: what was checked, or why it failed or was not run.
        seconds: it took; of a process that found nothing, all of its own.
        values: what was measured.
    """
    name: str
    status: Status = 'passed'
    detail: str = ''
    seconds: float = 0.
    values: dict[str, Any] = field(default_factory=dict)


def reporter(file: Path) -> Report:
    """A function that adds a result to ``file`` at once, so that it stays if the process dies.

    The seconds of a result are those since the one before, or since this call.
    """
    before = time.monotonic()

    def report(name: str, status: Status = 'passed', detail: str = '', **values: Any) -> None:
        nonlocal before
        seconds, before = round(time.monotonic() - before, 1), time.monotonic()
        with file.open('a', encoding='utf-8') as stream:
            stream.write(json.dumps(asdict(Result(name, status, detail, seconds, values)), default=str) + '\n')
    return report


def reported(file: Path) -> list[Result]:
    """The results in such a file; a line that was cut off is none."""
    lines = file.read_text(encoding='utf-8').splitlines(keepends=True) if file.exists() else []
    return [Result(**json.loads(line)) for line in lines if line.endswith('\n')]
