"""Several trainings at a time, each in a process of its own; the console gets a line where one starts, scores, ends,
and a terminal a bar for all of them."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from mmseg.engine.interrupt import StopRequest
from mmseg.errors import LogError
from mmseg.report.logs import Log, read_log

CONSOLE = 'console.log'  # in the folder of a run: all that its process prints
POLL = 0.5  # seconds between two looks at the processes
STOPPED = (130, 143)  # exit statuses of a training that has saved its state after Ctrl-C or SIGTERM
PATIENCE = 10  # seconds that a process gets to end after a second Ctrl-C


@dataclass
class Training:
    """A training to start.

    Args:
        name: what the lines on the console call it.
        command: starts it.
        folder: where it logs.
        iterations: its length.
    """
    name: str
    command: Sequence[str]
    folder: Path
    iterations: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    shown: set[int] = field(default_factory=set, init=False)  # iterations whose scores have been printed

    @property
    def console(self) -> Path:
        """The file with all that the process prints."""
        return self.folder / CONSOLE

    def start(self, threads: int, project: Path) -> None:
        """Start the process, with modules of ``project``. Ctrl-C does not reach it unless it is handed on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shown, self.started = set(self._log().val), time.monotonic()
        paths = [str(project), *filter(None, [os.environ.get('PYTHONPATH')])]
        environment = {'OMP_NUM_THREADS': str(threads), **os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
        with self.console.open('ab') as console:
            self.process = subprocess.Popen(self.command, env=environment, stdin=subprocess.DEVNULL, stdout=console,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        say(f'{self.name}: started, see {self.console}')

    def _log(self) -> Log:
        try:
            return read_log(self.folder)
        except LogError:  # nothing is written yet
            return Log(self.name)

    @property
    def done(self) -> int:
        """Iterations that it has logged so far."""
        log = self._log()
        return max([0, *log.train, *log.val])

    def show_scores(self) -> None:
        """Print the scores that have not been printed yet."""
        for iteration, scores in self._log().val.items():
            if iteration not in self.shown:
                self.shown.add(iteration)
                say(f'{self.name}: {miou(scores)} at iteration {iteration}')

    def ended(self) -> str | None:
        """How it has failed, or '' if it has not; None while it runs. Prints the news."""
        assert self.process is not None, 'it was not started'
        status = self.process.poll()
        self.show_scores()
        if status is None:
            return None
        minutes = (time.monotonic() - self.started) / 60
        scores = self._log().val
        if status == 0:
            final = f', {miou(scores[max(scores)])}' if scores else ''
            say(f'{self.name}: finished{final}, {minutes:.1f} minutes')
            return ''
        if status in STOPPED:
            say(f'{self.name}: stopped after {minutes:.1f} minutes, its state is saved')
            return 'stopped'
        why = f'killed by signal {-status}' if status < 0 else f'exit status {status}'
        say(f'{self.name}: {why} after {minutes:.1f} minutes, the end of {self.console} says more:\n'
            f'    {self._last_line()}')
        return why

    def _last_line(self) -> str:
        lines = self.console.read_text(encoding='utf-8', errors='replace').split('\n')
        return next((line.strip() for line in reversed(lines) if line.strip()), '(it is empty)')


def say(text: str) -> None:
    """Print a line at once, above the bar if there is one."""
    tqdm.write(text)
    sys.stdout.flush()


def miou(scores: dict[str, float]) -> str:
    """``mIoU 31.2 (teacher 32.0)``, in percent."""
    teacher = f' (teacher {100 * scores["teacher.mIoU"]:.1f})' if 'teacher.mIoU' in scores else ''
    return f'mIoU {100 * scores.get("mIoU", float("nan")):.1f}{teacher}'


def train_side_by_side(trainings: Sequence[Training], jobs: int, project: Path,
                       finished: Callable[[Training], object] = lambda training: None) -> tuple[dict[str, str], int]:
    """Run all trainings, ``jobs`` at a time. One that fails does not stop the others.

    The first Ctrl-C or SIGTERM is handed on, so that the trainings save and end; a second Ctrl-C ends them at once.

    Args:
        trainings: in the order in which they start.
        jobs: how many at a time; each gets its share of the cores as threads, unless OMP_NUM_THREADS is set.
        project: folder of the packages that they import.
        finished: called with each that has ended well.

    Returns:
        How those that were not finished ended, by name, and the exit status: 0, 1 if any failed, 130 or 143 after a
        signal.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    waiting, running, failed = list(trainings), list[Training](), dict[str, str]()
    total = sum(training.iterations for training in trainings)
    with StopRequest() as stop, tqdm(total=total, unit='it', disable=None, smoothing=0) as bar:  # on terminals only
        sent = False
        try:
            while running or waiting and not stop.signal:
                while waiting and len(running) < jobs and not stop.signal:
                    running.append(waiting.pop(0))
                    running[-1].start(threads, project)
                if stop.signal and not sent:
                    sent = True
                    _send(running, stop.signal)
                time.sleep(POLL)
                if not bar.disable:
                    bar.update(sum(training.done for training in trainings) - bar.n)
                for training in list(running):
                    why = training.ended()
                    if why is None:
                        continue
                    running.remove(training)
                    if why:
                        failed[training.name] = why
                    else:
                        finished(training)
        except BaseException:  # a second Ctrl-C among others
            _end(running)
            raise
        failed.update({training.name: 'not started' for training in waiting})
        return failed, stop.exit_code if stop.signal else int(bool(failed))


def _send(trainings: Sequence[Training], number: int) -> None:
    for training in trainings:
        if training.process is not None:
            training.process.send_signal(number)


def _end(trainings: Sequence[Training]) -> None:
    """End processes now: they get a moment, then they are killed."""
    _send(trainings, 2)
    end = time.monotonic() + PATIENCE
    for training in trainings:
        if training.process is not None:
            try:
                training.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                training.process.kill()
