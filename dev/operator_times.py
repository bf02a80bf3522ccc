"""Which operators a training step or a prediction spends its time in.

Examples:
    python -m dev.operator_times CONFIG --size 256 256 --batch 2 --out times.json
    python -m dev.operator_times CONFIG --mode infer --size 512 1024

Adds up the processor time (of all threads) of every call that reaches a kernel, on the CPU, so that other programs on
the machine disturb little. The program between the calls is the rest of the step.
"""
from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg.apis import load_config
from mmseg.config.command_line import add_config_options
from mmseg.datasets.synthetic import synthetic_batch
from mmseg.engine.optim import build_optim_wrapper
from mmseg.errors import command
from mmseg.models import build_train_model
from mmseg.utils.heap import keep_freed_memory
from mmseg.utils.markdown import table
from mmseg.utils.speed import calibrate

CPU = torch.device('cpu')
LAYOUTS = {torch.contiguous_format: '', torch.channels_last: ' channels-last'}


class OperatorTimes(TorchDispatchMode):
    """Inside, adds up the processor time of operators by their name and the shapes of their first tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.calls: dict[tuple[str, str], int] = defaultdict(int)

    def __torch_dispatch__(self, operator: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Run and time one operator."""
        start = time.process_time()
        result = operator(*args, **(kwargs or {}))
        seconds = time.process_time() - start
        what = str(operator).removeprefix('aten.').partition('.')[0], _shapes(args)
        self.seconds[what] += seconds
        self.calls[what] += 1
        return result

    def rows(self, most: int) -> list[dict[str, Any]]:
        """The ``most`` longest, with their shares of all operators in percent."""
        total = sum(self.seconds.values())
        longest = sorted(self.seconds.items(), key=lambda item: -item[1])[:most]
        return [dict(operator=name, shapes=shapes, calls=self.calls[name, shapes], ms=round(1e3 * seconds, 1),
                     percent=round(100 * seconds / total, 1)) for (name, shapes), seconds in longest]


def _shapes(args: Sequence[Any]) -> str:
    tensors = [arg for arg in args[:3] if isinstance(arg, Tensor)]
    return ', '.join('x'.join(map(str, tensor.shape)) + _layout(tensor) for tensor in tensors)


def _layout(tensor: Tensor) -> str:
    if tensor.dim() != 4:
        return ''
    return next((name for layout, name in LAYOUTS.items() if tensor.is_contiguous(memory_format=layout)), ' strided')


def parse_args(args: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Operators that take the most time')
    parser.add_argument('config')
    parser.add_argument('--mode', choices=('train', 'infer'), default='train')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=(256, 256), help='of the images')
    parser.add_argument('--batch', type=int, help='images per domain; default: 2, for inference 1')
    parser.add_argument('--warmup', type=int, default=2, help='calls before the one that is timed')
    parser.add_argument('--rows', type=int, default=40, help='how many operators to show')
    add_config_options(parser)
    parser.add_argument('--out', type=Path, help='write the result as JSON to this file')
    return parser.parse_args(args)


def _call(args: argparse.Namespace) -> Callable[[], Any]:
    """The step or the prediction to time."""
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    torch.manual_seed(0)
    model = build_train_model(cfg)
    training = args.mode == 'train'
    batch = synthetic_batch(args.batch or 1 + training, tuple(args.size), model.num_classes)
    if training:
        model.init_weights()
        optim_wrapper = build_optim_wrapper(model.train(), cfg)
        return lambda: model.train_step(batch, optim_wrapper)
    network = model.networks()['student'].eval()
    img = torch.randn(args.batch or 1, 3, *args.size)
    return torch.no_grad()(lambda: network.predict([img], [batch['img_metas']]))


def main(args: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what was measured."""
    args = parse_args(args)
    keep_freed_memory(CPU)
    call = _call(args)
    for _ in range(args.warmup):
        call()
    before = calibrate(CPU)
    start = time.process_time()
    call()
    seconds = time.process_time() - start
    with OperatorTimes() as times:
        call()
    rows = times.rows(args.rows)
    result = dict(
        config=args.config, options=args.options, mode=args.mode, size=list(args.size), torch=torch.__version__,
        threads=torch.get_num_threads(), sgemm_gflops=[before, calibrate(CPU)], seconds_untimed=seconds,
        seconds_in_operators=sum(times.seconds.values()), operators=rows)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1, default=str) + '\n')
    print(table(['operator', 'shapes', 'calls', 'ms', '%'], [[str(value) for value in row.values()] for row in rows]))
    return result


if __name__ == '__main__':
    command(main)
