"""Does memory stay flat in a long training? The built-in benchmark with everything on, its memory written down.

    python -m dev.soak --out docs/logs/soak.txt

Needs data/toy (``python -m tools.make_toy_data``) and Linux. Evaluation, checkpoints and training panels come often.
Exit status 1 if the second half of the run needs more memory, open files or threads at its end than at its start.
"""
from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.hooks import Hook

from mmseg.apis import load_config
from mmseg.datasets import build_dataset
from mmseg.engine.runner import TrainRunner, build_runner
from mmseg.engine.seeds import seed_everything
from mmseg.errors import command
from mmseg.models import build_train_model

OFTEN = {'evaluation.interval': 250, 'checkpoint_config.interval': 250, 'log_config.img_interval': 100}
GROWTH = 0.02  # share of memory that the second half of the run may gain


class Sample(NamedTuple):
    """What the process holds after ``iteration`` iterations."""
    iteration: int
    resident_mib: float
    files: int
    threads: int


class Watch(Hook):
    """Takes a sample at an interval, after everything else that happens in an iteration."""
    priority = 'LOWEST'

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.samples: list[Sample] = []

    def after_train_iter(self, runner: TrainRunner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Take a sample if an interval ends."""
        finished = runner.train_loop.finished
        if finished % self.interval == 0:
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            self.samples.append(Sample(finished, pages * os.sysconf('SC_PAGE_SIZE') / 2**20,
                                       len(os.listdir('/proc/self/fd')), threading.active_count()))


def growth(samples: Sequence[Sample]) -> list[str]:
    """What the second half of a run gains between its first and its last third: one sentence for each, best none."""
    half = samples[len(samples) // 2:]
    third = max(len(half) // 3, 1)
    found = []
    for name, allowed in (('resident_mib', GROWTH), ('files', 0.), ('threads', 0.)):
        first, last = (statistics.median(getattr(sample, name) for sample in part)
                       for part in (half[:third], half[-third:]))
        if last > first * (1 + allowed):
            found.append(f'{name} grows from {first:.0f} to {last:.0f}')
    return found


def report(samples: Sequence[Sample], config: str) -> str:
    """The series as text, with the verdict in front."""
    verdict = '; '.join(growth(samples)) or 'flat'
    lines = [f'# {config}, {samples[-1].iteration} iterations, second half: {verdict}',
             '# iteration  resident MiB  open files  threads']
    lines += [f'{s.iteration:9d}  {s.resident_mib:12.1f}  {s.files:10d}  {s.threads:7d}' for s in samples]
    return '\n'.join(lines) + '\n'


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description='A long training of the built-in benchmark, watching its memory')
    parser.add_argument('--config', default='configs/toy/daformer.py')
    parser.add_argument('--iterations', type=int, default=2000)
    parser.add_argument('--interval', type=int, default=50, help='iterations between two samples')
    parser.add_argument('--out', type=Path, help='text file for the series')
    args = parser.parse_args(args)
    cfg = load_config(args.config, {**OFTEN, 'runner.max_iters': args.iterations})
    watch = Watch(args.interval)
    with tempfile.TemporaryDirectory() as work_dir:
        cfg.work_dir = work_dir
        seed_everything(cfg.seed)
        runner = build_runner(cfg, build_train_model(cfg), build_dataset(cfg.data.train), work_dir)
        runner.register_hook(watch)
        runner.train()
    text = report(watch.samples, args.config)
    print(text)
    if args.out:
        args.out.write_text(text)
    return 1 if growth(watch.samples) else 0


if __name__ == '__main__':
    command(main)
