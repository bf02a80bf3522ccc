"""What tests/distributed/test_processes.py looks at, done by two processes that torchrun starts.

``python -m torch.distributed.run --nproc_per_node 2 -m tests.distributed.two_processes FOLDER`` trains the configs in
FOLDER and writes what each process has found to FOLDER/<rank>.pt. In the end process 1 dies in a training.
"""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mmseg import errors
from mmseg.apis import load_config
from mmseg.apis.test import TestOutputs, run_test
from mmseg.apis.train import run_training
from mmseg.cli import training
from mmseg.datasets import build_dataset, build_eval_loader
from mmseg.distributed import processes
from mmseg.distributed.launch import joined
from mmseg.distributed.synchronise import average_gradients
from mmseg.engine.meters_hook import of_all_processes
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.uda.cells import class_counts
from mmseg.models.uda.dida.prototypes import class_means
from mmseg.models.uda.meters import Reading
from tests.engine.tiny import train
from tools import train as command


def trained(config: Path) -> dict[str, Any]:
    """The state after a training, or the exit status of one that a signal has stopped."""
    try:
        return dict(train(load_config(config)).state_dict())
    except SystemExit as stopped:
        return dict(stopped=stopped.code)


def signalled(config: Path) -> dict[str, Any]:
    """A training in whose second iteration process 1 gets SIGTERM, and nobody else."""
    step = EncoderDecoder.train_step

    def train_step(self: EncoderDecoder, *args: Any) -> Any:
        if processes.rank() == 1 and self.iteration == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args)

    EncoderDecoder.train_step = train_step
    try:
        return trained(config)
    finally:
        EncoderDecoder.train_step = step


def averaged_gradients() -> list[torch.Tensor | None]:
    """Gradients 1 and 3; one in process 0 only; one in process 1 only; none."""
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(4)]
    given = ((1., 4., None, None), (3., None, 6., None))[processes.rank()]
    for parameter, value in zip(parameters, given):
        parameter.grad = None if value is None else torch.full((2, ), value)
    average_gradients(parameters)
    return [parameter.grad for parameter in parameters]


def class_entries() -> tuple[torch.Tensor, torch.Tensor]:
    """Class means of a batch of which each process has one image."""
    embedding, label = batch()
    mine = slice(processes.rank(), processes.rank() + 1)
    return class_means(embedding[mine], class_counts(label[mine], (4, 4), 3)[..., :-1])


def measured() -> dict[str, float]:
    """Scores of one pixel in process 0, which is right, and three in process 1, one of which is wrong."""
    counts = [[[[1, 0], [0, 0], [0, 0]]], [[[0, 1], [0, 2], [0, 0]]]][processes.rank()]
    stage = np.array([*counts, [[0, 0]] * 3])
    return of_all_processes(Reading({'pseudo': stage}, {'a': (1. + processes.rank(), 1)}), ('road', 'sky'))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Features [2, 5, 4, 4] and labels [2, 8, 8]; class 2 is in the second image only."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (2, 8, 8), generator=generator)
    label[1, :3] = 2
    return torch.randn(2, 5, 4, 4, generator=generator), label


def tested(folder: Path) -> dict[str, Any]:
    """Scores of the command for testing, and which images this process has seen."""
    cfg = load_config(folder / 'config_plain.py')
    loader = build_eval_loader(build_dataset(cfg.data.val), 0, rank=processes.rank(), world_size=processes.count())
    cfg.data.test = cfg.data.val
    scores = run_test(cfg, str(folder / 'plain' / 'latest.pth'),
                      TestOutputs(metrics=('mIoU', ), out=str(folder / 'both.pkl'), report=str(folder / 'both')))
    return dict(scores=scores, images=[image['index'] for image in loader])


def main(folder: Path) -> None:
    """Everything in one go, since a start takes long."""
    with joined('pytorch', 'cpu'):
        found: dict[str, Any] = {path.stem.removeprefix('config_'): trained(path)
                                 for path in sorted(folder.glob('config_*.py'))}
        found.update(signalled=signalled(folder / 'apart' / 'config_signalled.py'), gradients=averaged_gradients(),
                     entries=class_entries(), measured=measured(), tested=tested(folder),
                     gathered=processes.gather(processes.rank()),
                     seed=processes.from_main(lambda: processes.rank() + 7))
        torch.save(found, folder / f'{processes.rank()}.pt')
        die(str(folder / 'apart' / 'config_dying.py'))


def die(config: str) -> None:
    """The command for training; process 1 is killed in the middle of the third iteration."""
    step = EncoderDecoder.losses

    def losses(self: EncoderDecoder, *args: Any) -> Any:
        if processes.rank() == 1 and self.iteration == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *args)

    EncoderDecoder.losses = losses
    args = command.parse_args([config])
    errors.command(lambda: run_training(processes.from_main(lambda: training.prepare(args, training.configure(args)))))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
