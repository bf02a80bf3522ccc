"""Looking at many files of a data set; what is wrong with them is reported by kind, not by file."""
from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import Any, Generic, TypeVar

import numpy as np

from mmseg.datasets.class_stats import progress_map
from mmseg.doctor.report import Report, described

MOST = 2000  # files of a kind that are looked at, evenly chosen
_VARYING = re.compile(r'(#[0-9a-f]{6}|[\d\s.,x-])+')  # values and sizes in messages
T = TypeVar('T')


def spread(count: int, most: int) -> list[int]:
    """``most`` of ``range(count)``, evenly chosen; all if there are no more."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def named(names: Sequence[Any], most: int = 5) -> str:
    """The names in one line, of many only the first."""
    more = f' and {len(names) - most:,} more' if len(names) > most else ''
    return f'{", ".join(map(str, names[:most]))}{more}'


@dataclass(frozen=True)
class Survey(Generic[T]):
    """What has been looked at, by index.

    Attributes:
        found: what was seen.
        errors: why nothing was.
    """
    found: dict[int, T]
    errors: dict[int, Exception]

    @property
    def size(self) -> int:
        """How many have been looked at, with success or without."""
        return len(self.found) + len(self.errors)

    @property
    def fit(self) -> str:
        """'all fit', or how many are not."""
        return f'{len(self.errors):,} not fit' if self.errors else 'all fit'

    def tell_errors(self, report: Report, file: Callable[[int], str], remedy: str) -> None:
        """Report each kind of error once, with the first message and the number of files.

        Args:
            file: from index to the file that is looked at.
        """
        kinds: dict[str, list[int]] = {}
        for idx, error in self.errors.items():
            kind = _VARYING.sub(' ', ' '.join(word for word in described(error).split() if os.sep not in word))
            kinds.setdefault(kind, []).append(idx)
        for first, *others in kinds.values():
            more = f'\n{len(others):,} more of this kind, such as {file(others[0])}' if others else ''
            report.problem(described(self.errors[first]) + more, remedy)


def survey(look: Callable[[int], T], indices: Sequence[int], title: str) -> Survey[T]:
    """``look`` at all ``indices`` in several threads, with a progress bar."""

    def attempt(idx: int) -> T | Exception:
        try:
            return look(idx)
        except Exception as error:  # whatever a loader of one's own may raise
            return error

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # what readers warn of is counted
        results = dict(zip(indices, progress_map(attempt, indices, min(8, os.cpu_count() or 1), title, ThreadPool)))
    errors = {idx: result for idx, result in results.items() if isinstance(result, Exception)}
    return Survey({idx: result for idx, result in results.items() if idx not in errors}, errors)
