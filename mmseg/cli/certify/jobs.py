"""A job is a process that checks or measures something: how it is started, ended, and what became of it."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg.cli.certify.results import Result, reported

ROOT = Path(__file__).resolve().parents[3]
SHORTEST = 10.  # seconds that are worth a start
FAREWELL = 2.  # between asking a process to end and ending it


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes:
        kind: of those in child.py.
        names: of the results that it reports.
        limit: seconds.
        options: of the function.
    """
    kind: str
    names: tuple[str, ...]
    limit: float
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What its files are called."""
        return '_'.join([self.kind, *map(str, self.options.values())]).replace('/', '_').lower()


class Jobs:
    """Starts jobs, one or several at a time, until a deadline.

    Args:
        folder: where their output goes.
        device: that they get.
        miniature: whether they do everything in small.
        deadline: of time.monotonic().
    """

    child = 'mmseg.cli.certify.child'

    def __init__(self, folder: Path, device: str, miniature: bool, deadline: float) -> None:
        self.folder, self.device, self.miniature, self.deadline = folder, device, miniature, deadline
        self._running: set[subprocess.Popen] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, job: Job) -> Iterator[Result]:
        """The results of a job, one for each of its names, when its process has ended."""
        start = time.monotonic()
        left = self.deadline - start
        if left < SHORTEST:
            yield from (Result(name, 'not run', 'out of time') for name in job.names)
            return
        results, log = self.folder / f'{job.title}.jsonl', self.folder / f'{job.title}.txt'
        results.unlink(missing_ok=True)
        ending = self._process(job, results, log, min(job.limit, left))
        seconds = time.monotonic() - start
        if time.monotonic() >= self.deadline:
            missing = Result('', 'not run', f'out of time: stopped after {seconds:.0f} s')
        elif ending == 'stopped':
            missing = Result('', 'failed', f'stopped after {seconds:.0f} s, its limit')
        else:
            missing = Result('', 'failed', ending)
        found = {result.name: result for result in reported(results)}
        for name in job.names:
            yield found.get(name) or Result(name, missing.status, missing.detail, round(seconds, 1))

    def _process(self, job: Job, results: Path, log: Path, seconds: float) -> str:
        """Runs it; 'stopped' if the time was over, else why it may have left something out."""
        options = dict(job.options, device=self.device, miniature=self.miniature, folder=str(self.folder))
        command = [sys.executable, '-m', self.child, job.kind, str(results), json.dumps(options)]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
        with log.open('w', encoding='utf-8') as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self._running.add(process)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return 'stopped'
        finally:
            _end(process)
            self._running.discard(process)
        return _ending(status, log)

    def stop(self) -> None:
        """End what runs."""
        self.deadline = 0.
        for process in list(self._running):
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """End a process and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _ending(status: int, log: Path) -> str:
    """Why a process that reported too little has ended."""
    if status < 0:
        return f'the process was ended by {signal.Signals(-status).name}'
    lines = [line for line in log.read_text(encoding='utf-8', errors='replace').splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else f'the process ended with status {status} and said nothing'
