"""Checkpoints that are tested, converted and resumed, with the states of their optimizers."""
from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from dev.mutations.subject import Outcome, Subject, damaged, judged
from mmseg.checkpoint.export import convert
from mmseg.checkpoint.file import COUNTER, read_checkpoint
from mmseg.checkpoint.networks import load_segmentor
from mmseg.engine.optim import build_optimizer
from mmseg.engine.saving import pack, read_for_resume, restore
from mmseg.models import build_segmentor

MODEL = dict(
    type='EncoderDecoder',
    backbone=dict(type='MixVisionTransformer', embed_dims=(4, 4, 4, 4), num_heads=(1, 1, 1, 1),
                  mlp_ratios=(1, 1, 1, 1), depths=(1, 1, 1, 1)),
    decode_head=dict(type='SegFormerHead', in_channels=[4, 4, 4, 4], in_index=[0, 1, 2, 3], channels=4, num_classes=3,
                     norm_cfg=dict(type='BN', requires_grad=True), align_corners=False,
                     decoder_params=dict(embed_dim=4),
                     loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
META = dict(CLASSES=['a', 'b', 'c'], PALETTE=[[0, 0, 0], [1, 1, 1], [2, 2, 2]], config='', iter=3, max_iters=9, seed=0,
            hook_msgs={})


class Code:
    """Pickled, it is a call; ran says whether it came to that."""
    ran = False

    def __reduce__(self) -> Any:
        return (_run, ())


def _run() -> None:
    Code.ran = True


WRONG: list[Callable[[Any], Any]] = [
    lambda value: None, lambda value: 'x', lambda value: [1, 2], lambda value: {}, lambda value: -1,
    lambda value: float('nan'), lambda value: 10**30, lambda value: torch.zeros(0), lambda value: torch.zeros(7, 7, 7),
    lambda value: torch.zeros(1).expand(10**9), lambda value: torch.zeros(2, device='meta'),
    lambda value: torch.eye(2).to_sparse(), lambda value: Code(), lambda value: os.getcwd,
    lambda value: [[value]], lambda value: _filled(value, float('nan')), lambda value: _filled(value, float('inf')),
    lambda value: value.long() if isinstance(value, Tensor) else value,
    lambda value: _filled(value.double() if isinstance(value, Tensor) else value, 1e300),
    lambda value: value[:-1] if isinstance(value, (str, list)) or isinstance(value, Tensor) and value.dim() else None,
]


def _filled(value: Any, number: float) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return torch.full_like(value, number)
    return number


def _changed(content: dict[str, Any], rng: RandomState) -> str:
    """Replace or drop one entry at any depth, in place; says which."""
    node, path = content, []
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.randint(len(keys)))]
        path.append(str(key))
        if not (isinstance(node[key], (dict, list)) and node[key] and rng.randint(5)):
            break
        node = node[key]
    if isinstance(node, dict) and not rng.randint(6):
        del node[key]
        return f'without {".".join(path)}'
    kind = int(rng.randint(len(WRONG)))
    node[key] = WRONG[kind](node[key])
    return f'{".".join(path)} by change {kind}'


def _same(state: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether weights are equal; how many batches a norm has seen is none of them, and files may lack it."""
    state, other = ({k: v for k, v in each.items() if not k.endswith(COUNTER)} for each in (state, other))
    return state.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in state.items())


class Trained(nn.Module):
    """What a training drives, as far as checkpoints are concerned."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.optimizer = build_optimizer(self, dict(type='AdamW', lr=1e-3))

    def own_optimizers(self) -> dict[str, Any]:
        """None."""
        return {}

    def step(self) -> None:
        """One step with gradients of 1."""
        for parameter in self.parameters():
            parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()

    def everything(self) -> dict[str, Tensor]:
        """Weights and moments by name."""
        states = self.optimizer.state_dict()['state']
        moments = {f'{index}.{key}': value for index, entry in states.items() for key, value in entry.items()}
        return {**self.state_dict(), **moments}


class Checkpoints(Subject):
    """Files of weights: .pth with and without check sums (torch before 1.6), .safetensors."""
    name = 'checkpoints'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        torch.manual_seed(0)
        trained = Trained(build_segmentor(MODEL))
        trained.step()
        self.content: dict[str, Any] = pack(trained, None, META)  # type: ignore[arg-type]  # as far as it is needed
        self.model, self.weights = build_segmentor(MODEL), trained.model.state_dict()
        self.files = {'.pth': _saved(self.content), '.old.pth': _saved(self.content, zipped=False)}
        (folder / 'whole.pth').write_bytes(self.files['.pth'])
        convert(folder / 'whole.pth', folder / 'whole.safetensors')
        self.files['.safetensors'] = (folder / 'whole.safetensors').read_bytes()

    def case(self, rng: RandomState) -> Outcome:
        """Damage a file or change what it holds, then load and convert it."""
        suffix = str(rng.choice(list(self.files)))
        if rng.randint(2):
            change, file = damaged(self.files[suffix], rng)
        else:
            content = copy.deepcopy(self.content)
            suffix, change = '.pth', _changed(content, rng)
            file = _saved(content, protocol=int(rng.randint(2, 5)))
        path, small = self.folder / f'a{suffix}', self.folder / 'small.pth'
        path.write_bytes(file)

        def use() -> list[dict[str, Tensor]]:
            for value in self.model.state_dict().values():
                value.zero_()
            load_segmentor(self.model, path)
            convert(path, small)
            return [self.model.state_dict(), read_checkpoint(small)['state_dict']]

        outcome = judged(f'{suffix}: {change}', use, lambda found: all(_same(each, self.weights) for each in found),
                         (str(path), ), seen=suffix == '.pth')
        return Outcome('crash', f'{change}: code ran') if Code.ran else outcome


class OptimizerStates(Subject):
    """Checkpoints that are resumed, of which another step is made."""
    name = 'optimizer states'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trained = Trained(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)))
        self.trained.step()
        self.content = copy.deepcopy(pack(self.trained, self.trained.optimizer, META))  # type: ignore[arg-type]
        self.trained.step()
        self.next = {name: value.clone() for name, value in self.trained.everything().items()}

    def case(self, rng: RandomState) -> Outcome:
        """Change what the file holds, resume, and make a step."""
        content, path = copy.deepcopy(self.content), self.folder / 'a.pth'
        part = content if not rng.randint(4) else content['optimizer']
        change = _changed(part, rng)
        path.write_bytes(_saved(content))

        def use() -> dict[str, Tensor]:
            checkpoint = read_for_resume(path)
            restore(checkpoint, path, self.trained, self.trained.optimizer)  # type: ignore[arg-type]
            self.trained.step()
            return self.trained.everything()

        return judged(change, use, lambda found: _same(found, self.next), (str(path), ))


def _saved(content: dict[str, Any], zipped: bool = True, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return file.getvalue()
