"""What two processes gain over one at the same number of images a step, and what it costs to average their gradients.

Examples:
    OMP_NUM_THREADS=1 python -m dev.scaling CONFIG --size 256 256 --batch 4 --out scaling.json

One process trains on the whole batch, then two on a half each, by turns; all on the CPU, with OMP_NUM_THREADS threads
each. Both start from the same weights and see the same images; batch norms see those of their own process, so the
losses are not equal (tests/distributed compares a network without such norms).
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from mmseg.apis import load_config
from mmseg.config.command_line import add_config_options
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.distributed import processes
from mmseg.distributed.launch import joined
from mmseg.distributed.synchronise import average_gradients
from mmseg.engine.optim import build_optim_wrapper
from mmseg.errors import command
from mmseg.models import build_train_model
from mmseg.utils.heap import keep_freed_memory
from mmseg.utils.markdown import table
from mmseg.utils.speed import calibrate

CPU = torch.device('cpu')
BUCKETS_MIB = (1, 5, 25)  # DDP's default is 25
REPEATS = 5  # of an exchange
SOURCE_LOSS = 'decode.loss_seg'


def parse_args(args: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Two processes beside one')
    parser.add_argument('config')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=(256, 256), help='of the images')
    parser.add_argument('--batch', type=int, default=4, help='images per domain and step, of all processes together')
    parser.add_argument('--iters', type=int, default=5, help='measured steps a turn')
    parser.add_argument('--warmup', type=int, default=2, help='steps before them')
    parser.add_argument('--turns', type=int, default=3, help='how often each is started')
    parser.add_argument('--worker', type=Path, help=argparse.SUPPRESS)  # is one of the processes, and writes here
    add_config_options(parser)
    parser.add_argument('--out', type=Path, help='write the result as JSON to this file')
    return parser.parse_args(args)


def _share(batch: dict[str, Any]) -> dict[str, Any]:
    """The images of this process."""
    rank, count = processes.rank(), processes.count()
    return {key: value if key == 'classes' else value[rank::count] for key, value in batch.items()}


def _seconds(run: Any, times: int) -> list[float]:
    found = []
    for _ in range(times):
        processes.meet()
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def _exchanges(parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """Seconds to average gradients as the training does, by one exchange, and by one exchange per bucket."""
    numbers = sum(parameter.numel() for parameter in parameters)
    found: dict[str, Any] = dict(mib=numbers * 4 / 2**20, training=statistics.median(
        _seconds(lambda: average_gradients(parameters), REPEATS)))
    for size in BUCKETS_MIB:
        buckets = torch.zeros(numbers).split(size * 2**18)
        found[f'{size} MiB'] = statistics.median(
            _seconds(lambda parts=buckets: [processes.add_up(part) for part in parts], REPEATS))
    return found


def worker(args: argparse.Namespace) -> None:
    """Train a little as one of the processes; number 0 writes what it took."""
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    keep_freed_memory(CPU)
    torch.manual_seed(0)
    model = build_train_model(cfg)
    model.init_weights()
    model.start(0, processes.rank(), 0)
    optim_wrapper = build_optim_wrapper(model.train(), cfg)
    batch = _share(synthetic_batch(args.batch, tuple(args.size), model.num_classes))
    losses = []

    def step() -> None:
        loss = model.train_step(batch, optim_wrapper)[SOURCE_LOSS].detach().clone()
        losses.append(float(processes.add_up(loss) / processes.count()))

    _seconds(step, args.warmup)
    seconds = _seconds(step, args.iters)
    parameters = [p for group in optim_wrapper.optimizer.param_groups for p in group['params']]
    found = dict(seconds=seconds, losses=losses, exchange=_exchanges(parameters) if processes.count() > 1 else {})
    if processes.is_main():
        args.worker.write_text(json.dumps(found))


def _turn(count: int, argv: Sequence[str], folder: Path) -> dict[str, Any]:
    """Start ``count`` processes once."""
    out = folder / 'found.json'
    subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={count}', '-m',
                    'dev.scaling', *argv, '--worker', str(out)], check=True)
    return json.loads(out.read_text())


def main(argv: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Run the command; returns what was measured, None in a worker."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parse_args(argv)
    if args.worker:
        with joined('pytorch', 'cpu'):
            worker(args)
        return None
    if args.batch % 2:
        raise ValueError(f'--batch {args.batch} cannot be halved: give an even number')
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    before, turns = calibrate(CPU), dict[int, list[dict[str, Any]]]({1: [], 2: []})
    with TemporaryDirectory() as folder:
        for _ in range(args.turns):
            for count, found in turns.items():
                found.append(_turn(count, argv, Path(folder)))
    one, two = (statistics.median(second for turn in found for second in turn['seconds']) for found in turns.values())
    exchanges = [turn['exchange'] for turn in turns[2]]
    exchange = {what: statistics.median(turn[what] for turn in exchanges) for what in exchanges[0]}
    result = dict(
        config=args.config, options=args.options, size=list(args.size), batch=args.batch, torch=torch.__version__,
        threads=os.environ['OMP_NUM_THREADS'], sgemm_gflops=[before, calibrate(CPU)], seconds={'1': one, '2': two},
        speedup=one / two, efficiency=one / two / 2, exchange=exchange,
        losses={str(count): found[0]['losses'] for count, found in turns.items()}, turns=turns)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1, default=str) + '\n')
    print(table(['processes', 's / step', 'images / s', 'source loss of the last step'], [
        [str(count), f'{seconds:.3f}', f'{2 * args.batch / seconds:.1f}', f'{turns[count][0]["losses"][-1]:.4f}']
        for count, seconds in ((1, one), (2, two))]))
    print(f'\nspeed-up {one / two:.2f}, efficiency {50 * one / two:.0f} %\n')
    print(table([f'averaging {exchange["mib"]:.1f} MiB of gradients', 'ms', 'of a step, %'], [
        [what, f'{1e3 * seconds:.1f}', f'{100 * seconds / two:.1f}']
        for what, seconds in exchange.items() if what != 'mib']))
    return result


if __name__ == '__main__':
    command(main)
