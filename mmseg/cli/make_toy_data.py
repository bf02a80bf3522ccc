"""Draw the built-in benchmark: street scenes of a game (source) and of a camera (target).

    udaseg toy-data [--out data/toy] [--seed 0]

The game's images lie in GTA's layout, the camera's in that of Cityscapes with polygons as truth; the converters of both
data sets then make the training labels and the class statistics, as for the real ones. Repeating the command with the
same settings does nothing. demo/demo.png is the first camera image of --seed 5 --num 1 1 1 --size 512 256.
"""
from __future__ import annotations

import argparse
from pathlib import Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Draw the built-in benchmark')
    parser.add_argument('--out', type=Path, default=Path('data/toy'), help='folder that gets game/ and camera/')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num', type=int, nargs=3, default=(200, 120, 50), metavar=('GAME', 'TRAIN', 'VAL'),
                        help='images of the game, of the camera for training, of the camera for validation')
    parser.add_argument('--size', type=int, nargs=2, default=(192, 96), metavar=('WIDTH', 'HEIGHT'), help='pixels')
    parser.add_argument('--nproc', type=int, default=2)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    from mmseg.cli.toy_data import make_toy_data
    if make_toy_data(args.out, args.seed, tuple(args.num), tuple(args.size), args.nproc):
        print(f'{sum(args.num)} scenes are in {args.out}')
    else:
        print(f'{args.out} holds these scenes already')
