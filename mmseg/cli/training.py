"""From the command line of a training to the training."""
from __future__ import annotations

import argparse
from pathlib import Path

from mmengine import Config

from mmseg.apis import load_config
from mmseg.apis.train import prepare_folder, run_training, settle
from mmseg.config.low_memory import save_memory
from mmseg.config.reading import require_sections, validate_config
from mmseg.distributed import processes
from mmseg.distributed.launch import joined
from mmseg.report.closing import closing
from mmseg.utils.notices import closing_words


def configure(args: argparse.Namespace) -> Config:
    """The config with the command line merged in."""
    cfg = load_config(args.config, args.options, trust=args.trust_config)
    require_sections(cfg)
    settle(cfg, args.work_dir, args.seed, args.resume_from)
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
    validate_config(cfg)
    return cfg


def train(args: argparse.Namespace) -> None:
    """Train as :func:`mmseg.cli.train.parse_args` has read it. Errors are left to the caller."""
    cfg = configure(args)
    with joined(args.launcher, cfg.get('device')) as device:
        cfg = processes.from_main(lambda: prepare(args, cfg))
        cfg.device = device
        run_training(cfg)
        if processes.is_main():
            print(closing(cfg, Path(cfg.work_dir) / Path(cfg.filename).name))
    for text in closing_words():
        print(f'warning, as above: {text}')


def prepare(args: argparse.Namespace, cfg: Config) -> Config:
    """Make the work-dir, unless it belongs to another training; the config that is left for this one."""
    prepare_folder(cfg, args.resume_from)
    for key in ('load_from', 'resume_from', 'new_classifier'):
        if getattr(args, key):
            cfg[key] = getattr(args, key)
    if cfg.get('new_classifier') and not (cfg.get('load_from') or cfg.get('resume_from')):
        raise ValueError('new_classifier: there is no checkpoint to take the other weights from, name it with '
                         '--load-from FILE')
    return cfg
