"""Train what a config describes: udaseg train CONFIG [--work-dir DIR] [--options KEY=VALUE ...]"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg.config.command_line import add_config_options
from mmseg.distributed import LAUNCHERS


def _path(text: str) -> str:
    if not text.strip():  # or a resumed training would start anew
        raise argparse.ArgumentTypeError('names nothing: is a variable of your shell empty?')
    return text


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of train."""
    parser = argparse.ArgumentParser(description='Train a segmentor, supervised or with domain adaptation')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('--work-dir', type=_path,
                        help='folder for logs and checkpoints; default: work_dirs/<name of the config>')
    parser.add_argument('--load-from', type=_path, metavar='FILE', help='start from the weights of this checkpoint')
    parser.add_argument('--new-classifier', action='store_true',
                        help='of --load-from take all weights but those of the classifier, e.g. for other classes')
    parser.add_argument('--resume-from', type=_path, metavar='FILE',
                        help="continue the training of this checkpoint; 'auto': the newest whole one there, if any")
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    gpus = parser.add_mutually_exclusive_group()
    gpus.add_argument('--gpus', type=int, metavar='N', help='only 1: a process uses one GPU')
    gpus.add_argument('--gpu-ids', type=int, nargs='+', metavar='ID', help='number of the GPU to use')
    parser.add_argument('--device', help="'cuda', 'cuda:1', 'cpu' or 'auto' (default): a GPU if there is one")
    parser.add_argument('--seed', type=int, help='of all random draws; default: a random one, which is logged')
    parser.add_argument('--deterministic', action='store_true', help='deterministic kernels, slower')
    parser.add_argument('--amp', choices=['bf16', 'bfloat16'], help='forward passes in bfloat16')
    parser.add_argument('--memory', choices=['low'],
                        help='low: for small cards: bfloat16, recomputation, one image at a time')
    parser.add_argument('--meters', action='store_true',
                        help='log how good the pseudo labels are, if the target has labels, and the gradient of each '
                             'loss; training is the same')
    add_config_options(parser)
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help='who has started the processes: torchrun (tools/dist_train.sh) or Slurm')
    parser.add_argument('--local_rank', type=int, help='accepted, has no effect: the environment says it')
    parsed = parser.parse_args(args)
    if (parsed.gpus or 1) > 1 or len(parsed.gpu_ids or []) > 1:
        parser.error('a process uses one GPU: start several with sh tools/dist_train.sh CONFIG N')
    return parsed


def main(args: Sequence[str] | None = None) -> None:
    """Train. Errors are left to the caller."""
    parsed = parse_args(args)
    from mmseg.cli.training import train
    train(parsed)
