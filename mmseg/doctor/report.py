"""What the doctor has found: printed while it looks, every finding with a line that says how to fix it."""
from __future__ import annotations

import textwrap
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmseg.errors import CheckpointError, ConfigError, DataError

EXPLAINED = (CheckpointError, ConfigError, DataError, OSError)  # their messages are made for people
REFUSALS = (ValueError, TypeError, RuntimeError)  # theirs are, where this program raises them itself
OWN = Path(__file__).parents[1]
COLUMN = 10


class Report:
    """Collects and prints findings.

    Args:
        quiet: only count.

    Attributes:
        counts: number of findings by state: 'ok', 'warning', 'problem'.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.counts: Counter[str] = Counter()
        self._title = ''

    def section(self, title: str) -> None:
        """Begin a group of findings; its title is printed with the first one, behind progress bars."""
        self._title = title

    def ok(self, text: str) -> None:
        """Something is as it should be, or worth to know."""
        self._print('ok', text)

    def warn(self, text: str, remedy: str) -> None:
        """Something may be meant, or costs accuracy or time."""
        self._print('warning', text, remedy)

    def problem(self, text: str, remedy: str) -> None:
        """Something stops the training or makes its result worthless."""
        self._print('problem', text, remedy)

    def _print(self, state: str, text: str, remedy: str = '') -> None:
        self.counts[state] += 1
        if self.quiet:
            return
        if self._title:
            print(f'\n{self._title}')
            self._title = ''
        for start, lines in ((state, text), ('', f'fix: {remedy}' if remedy else '')):
            if lines:
                block = textwrap.indent(lines, ' ' * (COLUMN + 2)).lstrip()
                print(f'  {start:<{COLUMN}}{block}', flush=True)

    @contextmanager
    def guarded(self, remedy: str) -> Iterator[None]:
        """Turn an error or warning of the block into a finding, and go on behind it.

        Args:
            remedy: how to fix what may go wrong in the block.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always', UserWarning)
            try:
                yield
            except Exception as error:  # whatever a config may name, and whatever may lie on the disk
                self.problem(described(error), remedy)
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                self.warn(str(warning.message), remedy)

    def summary(self) -> str:
        """One line about all findings."""
        problems, warned = self.counts['problem'], self.counts['warning']
        return f'{problems or "no"} problem{"s" * (problems != 1)}, {warned or "no"} warning{"s" * (warned != 1)}'


def described(error: Exception) -> str:
    """The message of an error; with its kind and place if it was not made for people."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    frames = traceback.extract_tb(error.__traceback__)
    raised = frames and frames[-1].line and frames[-1].line.startswith('raise ')
    if isinstance(error, EXPLAINED) or (
            isinstance(error, REFUSALS) and raised and Path(frames[-1].filename).is_relative_to(OWN)):
        return text
    return f'{type(error).__name__}: {text} (at {Path(frames[-1].filename).name}, line {frames[-1].lineno})'
