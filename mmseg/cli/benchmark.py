"""Speed and memory of a config: training step, inference, prediction of files or data loading.

Examples:
    udaseg benchmark CONFIG --mode train --size 256 256 --iters 5 --out result.json
    udaseg benchmark CONFIG --mode infer --size 512 1024 --amp bfloat16
    udaseg benchmark CONFIG --mode predict --size 512 1024 --iters 12
    udaseg benchmark CONFIG --mode data

Training and inference run on synthetic images unless ``--data config`` is given. The machine's matrix-multiplication
rate is measured before and after each figure: where it moved by more than 15 % the run is repeated, because another
program was running.
"""
from __future__ import annotations

import argparse
from typing import Any

from mmseg.config.command_line import add_config_options

IDLE = dict(  # flags that a mode has no use for
    train=(), infer=('data', 'compile'), predict=('data', 'compile', 'batch'),
    data=('batch', 'amp', 'tf32', 'compile', 'device'))


def parse_args(args: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Speed and memory of a config')
    parser.add_argument('config')
    parser.add_argument('--mode', choices=('train', 'infer', 'predict', 'data'), default='train')
    parser.add_argument('--data', choices=('synthetic', 'config'), default='synthetic', help='where images come from')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), default=(512, 512), help='of synthetic images')
    parser.add_argument('--batch', type=int, help='images per domain; default: data.samples_per_gpu, 1 for inference')
    parser.add_argument('--iters', type=int, default=5, help='measured iterations, or images of predict')
    parser.add_argument('--warmup', type=int, default=1, help='iterations before the measurement')
    parser.add_argument('--device', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    parser.add_argument('--amp', choices=('bfloat16', ), help='autocast type')
    parser.add_argument('--tf32', action='store_true', help='allow TF32 on the GPU')
    parser.add_argument('--compile', action='store_true', help='compile backbone and decode head')
    add_config_options(parser)
    parser.add_argument('--out', help='write the result as JSON to this file')
    parsed = parser.parse_args(args)
    for name in IDLE[parsed.mode]:
        if getattr(parsed, name) != parser.get_default(name):
            parser.error(f'--{name} has no effect with --mode {parsed.mode}: leave it out')
    return parsed


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what was measured."""
    parsed = parse_args(args)
    from mmseg.apis.benchmark import benchmark
    return benchmark(parsed)
