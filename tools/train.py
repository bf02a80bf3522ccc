"""Train what a config describes: python -m tools.train CONFIG [--work-dir DIR] [--options KEY=VALUE ...]"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine import Config

from mmseg.apis import load_config, train_segmentor
from mmseg.checkpoint.claim import claim
from mmseg.config.command_line import add_config_options
from mmseg.config.low_memory import save_memory
from mmseg.config.memory import check_memory
from mmseg.config.reading import dump_config, require_sections
from mmseg.datasets import build_dataset
from mmseg.distributed import processes
from mmseg.distributed.launch import LAUNCHERS, joined
from mmseg.engine.env import archive_sources
from mmseg.engine.seeds import random_seed, seed_everything
from mmseg.errors import command
from mmseg.models import build_train_model
from mmseg.utils.device import resolve_device
from mmseg.utils.heap import keep_freed_memory
from mmseg.utils.notices import closing_words


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of tools/train.py."""
    parser = argparse.ArgumentParser(description='Train a segmentor, supervised or with domain adaptation')
    parser.add_argument('config', help='config file (.py, .json, .yaml)')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints; default: work_dirs/<name of the config>')
    parser.add_argument('--load-from', metavar='FILE', help='start from the weights of this checkpoint')
    parser.add_argument('--new-classifier', action='store_true',
                        help='of --load-from take all weights but those of the classifier, e.g. for other classes')
    parser.add_argument('--resume-from', metavar='FILE',
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


def configure(args: argparse.Namespace) -> Config:
    """The config with the command line merged in."""
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    require_sections(cfg)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    if args.seed is not None:
        cfg.seed = args.seed
    elif cfg.get('seed') is None and not args.resume_from:  # a resumed training keeps its seed
        cfg.seed = random_seed()
    if args.deterministic:
        cfg.deterministic = True
    if args.amp:
        cfg.amp = dict(dtype='bfloat16')
    if args.memory:
        save_memory(cfg)
    if args.meters:
        cfg.log_config = dict(cfg.get('log_config') or {}, meters=True)
    if args.no_validate:
        cfg.evaluation = None
    if args.device or args.gpu_ids:
        cfg.device = args.device or f'cuda:{args.gpu_ids[0]}'
    return cfg


def main(args: Sequence[str] | None = None) -> None:
    """Train. Errors are left to the caller."""
    args = parse_args(args)
    cfg = configure(args)
    with joined(args.launcher, cfg.get('device')) as device:
        cfg = processes.from_main(lambda: prepare(args, cfg))
        cfg.device = device
        run(cfg)
    for text in closing_words():
        print(f'warning, as above: {text}')


def prepare(args: argparse.Namespace, cfg: Config) -> Config:
    """Make the work-dir, unless it belongs to another training; the config that is left for this one."""
    work_dir = Path(cfg.work_dir)
    claim(Path((cfg.get('checkpoint_config') or {}).get('out_dir') or work_dir),
          args.resume_from or cfg.get('resume_from'))
    work_dir.mkdir(parents=True, exist_ok=True)
    dump_config(cfg, work_dir / Path(args.config).name)
    archive_sources(work_dir / 'code.tar.gz')
    for key in ('load_from', 'resume_from', 'new_classifier'):
        if getattr(args, key):
            cfg[key] = getattr(args, key)
    if cfg.get('new_classifier') and not (cfg.get('load_from') or cfg.get('resume_from')):
        raise ValueError('new_classifier: there is no checkpoint to take the other weights from, name it with '
                         '--load-from FILE')
    return cfg


def run(cfg: Config) -> None:
    """Build data and model, and train."""
    device = resolve_device(cfg.get('device'))
    keep_freed_memory(device)
    check_memory(cfg, device)
    with processes.main_first():  # it counts the classes of the data set, if nobody has
        dataset = build_dataset(cfg.data.train)  # first, since missing data shows at once
    seed_everything(cfg.get('seed') or 0, bool(cfg.get('deterministic')))  # initial weights
    model = build_train_model(cfg)
    if cfg.get('resume_from') in (None, 'auto'):  # else everything comes from the checkpoint
        model.init_weights()
    train_segmentor(model, dataset, cfg, validate=cfg.get('evaluation') is not None)


if __name__ == '__main__':
    command(main)
