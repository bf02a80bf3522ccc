"""A campaign against the readers of files: seeded damage, and what becomes of it.

    python -m dev.mutate --cases 2000
    python -m dev.mutate --only images --seed 17 --cases 1     # one case again

Exit status 1 if anything is silently wrong, an error without the name of the file, or the end of the process.
"""
from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import torch
from numpy.random import RandomState

from dev.mutations.checkpoints import Checkpoints, OptimizerStates
from dev.mutations.configs import Configs
from dev.mutations.pictures import Archives, Images, LabelMaps, SampleCaches, Statistics
from dev.mutations.subject import BAD, GOOD, Outcome, Subject
from dev.mutations.trainings import Trainings
from mmseg.errors import command

SUBJECTS: dict[str, type[Subject]] = {subject.name: subject for subject in (
    Configs, Images, LabelMaps, Checkpoints, OptimizerStates, Archives, SampleCaches, Statistics)}
LONGER: dict[str, type[Subject]] = {Trainings.name: Trainings}  # tried only when asked for
PATIENCE = 120  # seconds for a case in a process of its own, its start included


class Result(NamedTuple):
    """The outcome of the case with this seed."""
    name: str
    seed: int
    outcome: Outcome


def tried(name: str, seeds: Sequence[int]) -> Iterator[Result]:
    """Cases of one kind of file in this process."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        subject = (SUBJECTS | LONGER)[name](Path(folder))
        for seed in seeds:
            yield Result(name, seed, subject.case(RandomState(seed)))


def tried_apart(name: str, seeds: Sequence[int]) -> Iterator[Result]:
    """The same in another process, which is started anew for the rest when a case ends it or takes too long."""
    left = list(seeds)
    while left:
        arguments = ['--worker', '--only', name, '--seed', str(left[0]), '--cases', str(len(left))]
        process = subprocess.Popen([sys.executable, '-m', 'dev.mutate', *arguments], stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
        for line in _lines(process):
            kind, _, text = line.rstrip('\n').partition('\t')
            yield Result(name, left.pop(0), Outcome(kind, text))
        status = process.wait()
        if left:
            yield Result(name, left.pop(0), Outcome('crash', f'the process ended with status {status}'))


def _lines(process: subprocess.Popen) -> Iterator[str]:
    """What a process writes, which is killed if it is silent for too long."""
    assert process.stdout is not None
    while True:
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.start()
        line = process.stdout.readline()
        alarm.cancel()
        if not line:
            return
        yield line


def campaign(names: Sequence[str], seed: int, cases: int, apart: bool = False) -> Iterator[Result]:
    """``cases`` cases, shared by the kinds of files; the seeds of each count up from ``seed``."""
    for place, name in enumerate(names):
        count = cases // len(names) + (place < cases % len(names))
        yield from (tried_apart if apart else tried)(name, range(seed, seed + count))


def table(results: Sequence[Result]) -> str:
    """The number of cases by kind of file and outcome."""
    kinds = (*GOOD, *BAD)
    counts = Counter((result.name, result.outcome.kind) for result in results)
    rows = [f'{"":18}' + ''.join(f'{kind:>8}' for kind in kinds)]
    rows += [f'{name:18}' + ''.join(f'{counts[name, kind]:8}' for kind in kinds)
             for name in dict.fromkeys(result.name for result in results)]
    return '\n'.join(rows)


def _work(name: str, seed: int, cases: int) -> None:
    """Be the other process: a line for each outcome on the real standard output, nothing else."""
    with os.fdopen(os.dup(1), 'w', buffering=1) as answers, open(os.devnull, 'w') as nowhere:
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            for result in tried(name, range(seed, seed + cases)):
                text = ' '.join(result.outcome.text.split())
                answers.write(f'{result.outcome.kind}\t{text}\n')


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description='Damage files of every kind and see that each is named or read right')
    parser.add_argument('--cases', type=int, default=2000, help='how many, shared by the kinds (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the first case of each kind (default: %(default)s)')
    parser.add_argument('--only', choices=[*SUBJECTS, *LONGER], help='one kind of file')
    parser.add_argument('--apart', action='store_true', help='in processes of their own: a crash or hang is counted')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args(args)
    threads, silent = torch.get_num_threads(), logging.root.manager.disable
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    try:
        return _run(args)
    finally:
        logging.disable(silent)
        torch.set_num_threads(threads)


def _run(args: argparse.Namespace) -> int:
    if args.worker:
        _work(args.only, args.seed, args.cases)
        return 0
    results = list(campaign([args.only] if args.only else list(SUBJECTS), args.seed, args.cases, args.apart))
    bad = [result for result in results if result.outcome.kind in BAD]
    for result in bad:
        print(f'{result.outcome.kind}: {result.name}, seed {result.seed}: {result.outcome.text[:300]}')
    print(table(results))
    return int(bool(bad))


if __name__ == '__main__':
    command(main)
