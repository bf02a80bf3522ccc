"""Does a training repeat itself: short ones of tools/train.py with every objective, compared bit by bit.

Their network is that of the built-in benchmark with HRDA; MIC, MRM, EBDA and DIDA join in. The scenes are drawn here.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from mmseg.apis import load_config
from mmseg.cli.certify.results import Report
from mmseg.cli.toy_data import make_toy_data
from mmseg.config.reading import dump_config

CONFIG = 'configs/toy/mic_hrda.py'
ITERATIONS, SAVED = 6, 3
REPEATED, RESUMED = 'equal bits with --deterministic', 'equal bits when resumed'
SEVERAL = 'several processes'
SIDE_BY_SIDE = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node']


class Differs(Exception):
    """Two trainings that should be one have ended with different numbers."""


def write_config(folder: Path) -> Path:
    """The config of all trainings, with the scenes it needs."""
    scenes = folder / 'scenes'
    make_toy_data(scenes, seed=0, num=(8, 6, 1), size=(192, 96))
    cfg = load_config(CONFIG)
    data = cfg.data.train
    data.source.data_root, data.target.data_root = f'{scenes}/game/', f'{scenes}/camera/'
    cfg.uda.update(pseudo_threshold=0.05, mrm=dict(dim=64, depth=1, heads=2), entropy_balance=dict(),
                   instance_bank=dict(size=38, update='fifo', interval=1, warmup=0))
    cfg.runner.max_iters = ITERATIONS
    cfg.checkpoint_config = dict(interval=SAVED, max_keep_ckpts=-1)
    cfg.log_config = dict(interval=1, img_interval=10**6)
    cfg.custom_imports = dict(imports=['mmseg.cli.certify.same_networks'])
    cfg.custom_hooks = [dict(type='SameNetworks')]
    path = folder / 'everything.py'
    dump_config(cfg, path)
    return path


class Trainings:
    """Trains a config in folders beside it.

    Args:
        config: its file.
        device: of the trainings.
    """

    def __init__(self, config: Path, device: str) -> None:
        self.config, self.device = config, device

    def train(self, name: str, resume: Path | None = None, processes: int = 0) -> Path:
        """Train in a process of its own, or in several that torchrun starts; gives the folder.

        Raises:
            RuntimeError: if it fails; the message is what it said last.
        """
        folder = self.config.parent / name
        start, device, launcher = [], self.device, 'none'
        if processes:
            start, device, launcher = [*SIDE_BY_SIDE, str(processes)], torch.device(self.device).type, 'pytorch'
        command = [sys.executable, *start, '-m', 'mmseg', 'train', str(self.config), '--work-dir', str(folder),
                   '--device', device, '--seed', '0', '--deterministic', '--no-validate', '--launcher', launcher]
        if resume:
            command += ['--resume-from', str(resume)]
        print('$', *command, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, OMP_NUM_THREADS='1'))
        print(done.stdout, flush=True)
        if done.returncode:
            raise RuntimeError(f'{name}: {_reason(done.stdout)}')
        return folder


def _reason(output: str) -> str:
    """What a training that failed has said, without the summary that torchrun prints below it."""
    lines = [line.strip() for line in output.splitlines()]
    own = [line for line in lines if re.match(r'error\b|\w*(\.\w+)*(Error|Differ|Exception)\w*:', line)]
    last = [line for line in lines if line]
    return (own or last or ['it said nothing'])[0 if own else -1][:300]


def compare(one: Path, other: Path, words: str) -> str:
    """How much of two trainings' last checkpoints is equal.

    Raises:
        Differs: if not everything is.
    """
    first, second = (torch.load(folder / f'iter_{ITERATIONS}.pth', map_location='cpu', weights_only=True)['state_dict']
                     for folder in (one, other))
    different = [key for key, value in first.items() if not torch.equal(value, second[key])]
    if different:
        furthest = max(float((first[key].double() - second[key].double()).abs().max()) for key in different)
        raise Differs(f'{words}: {len(different)} of {len(first)} tensors differ, by up to {furthest:.2g}')
    return f'{words}: {len(first)} tensors'


def trainings(report: Report, device: str, folder: str, **_: Any) -> None:
    """Train twice, train on from the middle, train in as many processes as there are GPUs (two without one)."""
    runs = Trainings(write_config(Path(folder)), device)

    def check(name: str, compared: Any) -> None:
        try:
            report(name, detail=compared())
        except (Differs, RuntimeError, OSError) as error:  # what follows may work all the same
            report(name, 'failed', str(error))

    def repeated() -> str:
        return compare(runs.train('whole'), runs.train('again'), f'{ITERATIONS} iterations, twice')

    def resumed() -> str:
        whole = runs.config.parent / 'whole'
        return compare(whole, runs.train('resumed', whole / f'iter_{SAVED}.pth'), f'resumed at iteration {SAVED}')

    def several() -> str:
        count = torch.cuda.device_count() if torch.device(device).type == 'cuda' else 2
        whole = runs.train('several', processes=count)
        if count == 1:
            return compare(whole, runs.config.parent / 'whole', 'one GPU: with torchrun and without')
        again = runs.train('several_resumed', whole / f'iter_{SAVED}.pth', count)
        return compare(whole, again, f'{count} processes with equal networks, resumed at iteration {SAVED}')

    for name, compared in ((REPEATED, repeated), (RESUMED, resumed), (SEVERAL, several)):
        check(name, compared)
