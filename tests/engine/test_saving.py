"""What resuming relies on is checked before anything is done with it."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mmseg.engine.optim import build_optimizer
from mmseg.engine.saving import pack, read_for_resume, restore, write
from mmseg.errors import CheckpointError

META = dict(iter=3, max_iters=7, seed=0, processes=1, hook_msgs=dict(best_score=0.5, best_ckpt='best_mIoU_iter_3.pth'))


class Net(nn.Linear):
    def own_optimizers(self) -> dict:
        return {'D': self.own} if hasattr(self, 'own') else {}


def net() -> SimpleNamespace:
    model = Net(2, 2)
    cfg = dict(type='AdamW', lr=0.1)
    optimizer, model.own = build_optimizer(model, cfg), build_optimizer(model, cfg)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    model.own.step()
    return SimpleNamespace(model=model, optimizer=optimizer)


def resumed(file: Path, change: Callable[[dict], Any]) -> None:
    trained = net()
    checkpoint = pack(trained.model, trained.optimizer, META)
    change(checkpoint)
    write(checkpoint, file)
    fresh = net()
    restore(read_for_resume(file), file, fresh.model, fresh.optimizer)


def test_an_unchanged_file_resumes(tmp_path: Path) -> None:
    resumed(tmp_path / 'a.pth', lambda c: None)
    resumed(tmp_path / 'a.pth', lambda c: c['meta'].update(hook_msgs=None))
    resumed(tmp_path / 'a.pth', lambda c: c['meta'].pop('processes'))


@pytest.mark.parametrize('change, words', [
    (lambda c: c.update(meta=[1]), 'not written by this program'),
    (lambda c: c['meta'].update(schema_version='1'), 'not written by this program'),
    (lambda c: c['meta'].pop('seed'), 'meta.seed is missing'),
    (lambda c: c['meta'].update(seed='0'), 'meta.seed has to be'),
    (lambda c: c['meta'].update(iter=-1), 'meta.iter has to be'),
    (lambda c: c['meta'].update(max_iters=None), 'meta.max_iters has to be'),
    (lambda c: c['meta'].update(hook_msgs=[1]), 'meta.hook_msgs has to be'),
    (lambda c: c['meta']['hook_msgs'].update(best_score='x'), 'best_score has to be'),
    (lambda c: c['meta']['hook_msgs'].update(best_ckpt='../../photos.pth'), 'best_ckpt has to be the name of a best_'),
    (lambda c: c['meta']['hook_msgs'].update(best_ckpt='/etc/best_mIoU_iter_3.pth'), 'best_ckpt has to be'),
    (lambda c: c['meta']['hook_msgs'].update(best_ckpt='latest.pth'), 'best_ckpt has to be'),
    (lambda c: c.update(state_dict=[1, 2]), 'state_dict is a list'),
    (lambda c: c['state_dict'].update(weight=None), 'its weight is a NoneType'),
    (lambda c: c['state_dict']['weight'].fill_(float('inf')), 'its weight holds 4 values'),
    (lambda c: c['state_dict'].update(weight=torch.zeros(2, 2, dtype=torch.int64)), 'of another type: weight'),
    (lambda c: c.update(optimizer=None), 'parameter groups'),
    (lambda c: c.pop('own_optimizers'), 'parameter groups'),
    (lambda c: c.update(own_optimizers=[1]), 'parameter groups'),
    (lambda c: c['own_optimizers']['D']['state'][0].update(exp_avg=torch.zeros(0)), 'weight: exp_avg is torch.float32'),
])
def test_what_no_training_writes_is_refused_by_name(tmp_path: Path, change: Callable[[dict], Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=rf'a\.pth.*{words}'):
        resumed(tmp_path / 'a.pth', change)
