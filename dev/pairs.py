"""What a change gains: two commits measured by turns, so that both meet the machine in the same state.

Examples:
    OMP_NUM_THREADS=1 python -m dev.pairs 71528e8 HEAD --pairs 4 --out pairs.json -- CONFIG --size 256 256 --batch 2

What follows ``--`` goes to ``tools.benchmark`` of either commit, in a checkout of its own that is removed at the end.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmseg.errors import command
from mmseg.utils.markdown import table

KEPT = ('median_seconds', 'seconds_each', 'cpu_seconds_each', 'sgemm_gflops', 'calibration_ok', 'peak_memory_mib',
        'rss_after_imports_mib', 'gflop_per_call', 'arithmetic_floor_seconds', 'torch', 'device')


def parse_args(args: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Two commits, measured by turns')
    parser.add_argument('before', help='a commit')
    parser.add_argument('after', help='another one')
    parser.add_argument('--pairs', type=int, default=3, help='how often each is measured')
    parser.add_argument('--out', type=Path, help='write the result as JSON to this file')
    parser.add_argument('benchmark', nargs='+', help='after --: what tools.benchmark is given')
    parsed = parser.parse_args(args)
    if parsed.pairs < 1:
        parser.error('--pairs must be at least 1')
    return parsed


def _git(*args: str | Path) -> str:
    run = subprocess.run(['git', *map(str, args)], capture_output=True, text=True)
    if run.returncode:
        raise ValueError(f'git {" ".join(map(str, args))}: {run.stderr.strip()}')
    return run.stdout.strip()


def _measure(checkout: Path, args: Sequence[str]) -> dict[str, Any]:
    """Benchmark the program in a checkout, in a process of its own."""
    out = checkout.parent / 'found.json'
    places = [str(checkout), *filter(None, [os.environ.get('PYTHONPATH')])]  # an older commit may need other packages
    run = subprocess.run([sys.executable, '-m', 'tools.benchmark', *args, '--out', str(out)], cwd=checkout,
                         env=dict(os.environ, PYTHONPATH=os.pathsep.join(places)), capture_output=True, text=True)
    if run.returncode:
        raise ValueError(f'the benchmark in {checkout.name} failed:\n{run.stderr.strip()[-2000:]}')
    found = json.loads(out.read_text())
    return {key: found[key] for key in KEPT if key in found}


def seconds(pairs: Sequence[dict[str, Any]]) -> tuple[str, list[float], list[float]]:
    """By which clock both can be compared, and the seconds of each run: the processor's if both commits tell them."""
    by_processor = all('cpu_seconds_each' in run for pair in pairs for run in pair.values())
    key = 'cpu_seconds_each' if by_processor else 'seconds_each'
    before, after = ([statistics.median(pair[side][key]) for pair in pairs] for side in ('before', 'after'))
    return ('processor seconds' if by_processor else 'seconds by the clock'), before, after


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what was measured.

    Raises:
        ValueError: for what is no commit, and if a benchmark fails, with the end of its messages.
    """
    args = parse_args(argv)
    commits = {side: _git('rev-parse', '--short', f'{getattr(args, side)}^{{commit}}') for side in ('before', 'after')}
    pairs: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        checkouts = {side: Path(folder) / side for side in commits}
        try:
            for side, checkout in checkouts.items():
                _git('worktree', 'add', '--detach', checkout, commits[side])
            for _ in range(args.pairs):
                pairs.append({side: _measure(checkout, args.benchmark) for side, checkout in checkouts.items()})
        finally:
            for checkout in checkouts.values():
                if checkout.exists():
                    _git('worktree', 'remove', '--force', checkout)
    clock, before, after = seconds(pairs)
    factors = [old / new for old, new in zip(before, after, strict=True)]
    memory = [statistics.median(pair[side]['peak_memory_mib'] for pair in pairs) for side in commits]
    result = dict(commits=commits, benchmark=args.benchmark, clock=clock,
                  seconds=dict(before=statistics.median(before), after=statistics.median(after)),
                  factor=dict(median=statistics.median(factors), min=min(factors), max=max(factors)),
                  peak_memory_mib=dict(zip(commits, memory, strict=True)), pairs=pairs)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n')
    print(table(['commit', clock, 'peak memory'], [
        [commits[side], f'{result["seconds"][side]:.3f}', f'{result["peak_memory_mib"][side]:.0f} MiB']
        for side in commits]))
    print(f'\nfactor {statistics.median(factors):.2f} ({min(factors):.2f} to {max(factors):.2f})')
    return result


if __name__ == '__main__':
    command(main)
