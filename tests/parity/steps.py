"""Runs of the recorded training step: the setting that all recordings share, and what is read after each iteration."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmseg.engine.optim import build_optim_wrapper
from tests.parity import golden, model_zoo

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
THINGS = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
FEATURE_DISTANCE = dict(imnet_feature_dist_lambda=0.005, imnet_feature_dist_classes=THINGS,
                        imnet_feature_dist_scale_min_ratio=0.75)


def uda_config(threshold: float, alpha: float = 0.999, **keys: Any) -> dict[str, Any]:
    """The ``uda`` section without random colours; ``keys`` add to it."""
    return dict(type='DACS', alpha=alpha, pseudo_threshold=threshold, blur=False, color_jitter_probability=1.0, **keys)


def make_config(network: str, uda: dict[str, Any]) -> Any:
    """A config that trains a network of the model zoo as in the recordings."""
    optimizer = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, paramwise_cfg=dict(
        custom_keys=dict(head=dict(lr_mult=10.0), pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))))
    return model_zoo.Config(dict(model=model_zoo.segmentor_config(network), uda=uda, optimizer=optimizer,
                                 runner=dict(max_iters=40000)))


def make_batch(batch: int, side: int, block: int) -> dict[str, Any]:
    """The batch of every iteration: square images of random numbers, labels in blocks."""
    label = golden.labels(702, batch, side, side, block)
    meta = dict(img_norm_cfg=NORM, img_shape=(side, side, 3), pad_shape=(side, side, 3))
    return dict(img=golden.rnd(700, (batch, 3, side, side)), img_metas=[meta] * batch, gt_semantic_seg=label,
                classes=np.unique(golden.numbers(label)), target_img=golden.rnd(701, (batch, 3, side, side)),
                target_img_metas=[meta] * batch)


def build_host(cfg: Any, recipe: str) -> Any:
    """The host with the recorded weights, without dropout, ready for iteration 0."""
    host = golden.without_dropout(model_zoo.filled(model_zoo.build, cfg, recipe)).train()
    host.start(seed=0, rank=0, iteration=0)
    return host


def fix_classes(chosen: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the draw of the pasted classes by the recorded one."""
    table = torch.zeros(len(chosen), 256, dtype=torch.bool, device=golden.DEVICE)
    for row, classes in zip(table, chosen):
        row[classes] = True
    monkeypatch.setattr('mmseg.models.uda.dacs.draw_class_table', lambda *_: table)


class Run:
    """A run of the step and what is read from it.

    Args:
        host, cfg: of :func:`build_host` and :func:`make_config`.
        batch: of every iteration.
        iterations: how many.

    Attributes:
        iterations: per iteration ``logs``, ``grads`` (norm by parameter), ``total`` (norm of all parameters, by
            network) and ``state``.
        mixes: per iteration, sums of the mixed weights, labels and absolute images.
    """

    def __init__(self, host: Any, cfg: Any, batch: dict[str, Any], iterations: int,
                 monkeypatch: pytest.MonkeyPatch) -> None:
        self.mixes: list[dict[str, float]] = []
        self.spy(host, monkeypatch)
        wrapper = build_optim_wrapper(host, cfg)
        self.iterations = []
        for _ in range(iterations):
            logs = {key: value.item() for key, value in host.train_step(batch, wrapper).items()}
            self.iterations.append(dict(logs=logs, **self.read(host)))

    def spy(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        original = host.mixed

        def mixed(step: Any) -> Any:
            mask, view = original(step)
            self.mixes.append(dict(mixw=view.weight.double().sum().item(), mixlbl=view.label.sum().item(),
                                   miximg=view.img.double().abs().sum().item()))
            return mask, view

        monkeypatch.setattr(host, 'mixed', mixed)

    @staticmethod
    def read(host: Any) -> dict[str, Any]:
        norms = {name: p.grad.double().norm().item() for name, p in host.named_parameters() if p.grad is not None}
        total = {network: sum(p.double().square().sum().item() for p in getattr(host, network).parameters())**0.5
                 for network in ('model', 'ema_model')}
        return dict(grads=norms, total=total, state={k: v.clone() for k, v in host.state_dict().items()
                                                     if not k.startswith('imnet_model')})


def global_norm(norms: dict[str, float]) -> float:
    """Norm of all gradients together."""
    return sum(norm**2 for norm in norms.values())**0.5


def by_iteration(values: tuple, i: int) -> Any:
    """The entry of an iteration; the last one holds for all that follow."""
    return values[min(i, len(values) - 1)]


def check_arrays(case: golden.Case, iterations: list[dict[str, Any]], fields: list[str], tolerances: tuple) -> None:
    """Compare entries ``after_iter<i>/<key>`` of an NPZ with the state after iteration i.

    The statistics of an array were recorded in its iteration, but the array itself as a view of the live one: where an
    early array is bit-equal to the last, it holds the values after the last iteration. One that does not even fit its
    last statistics was moved later (recordings went on with frozen weights): then these alone are compared.
    """
    arrays = golden.read_npz(case.file)
    last = max(int(field.partition('/')[0].removeprefix('after_iter')) for field in fields)
    for field in fields:
        stage, _, key = field.partition('/')
        iteration, name = int(stage.removeprefix('after_iter')), case.entry(field)
        viewed = np.array_equal(case.array(field), case.array(f'after_iter{last}/{key}'))
        checks = [(golden.check_stats, iteration)]
        if not (viewed and moved_later(case, f'after_iter{last}/{key}')):
            checks.append((golden.check_values, last if viewed else iteration))
        for check, i in checks:
            check(arrays, name, iterations[i]['state'][key].reshape(case.shape(field)), by_iteration(tolerances, i))


def moved_later(case: golden.Case, field: str) -> bool:
    """Whether an array has another norm than its statistics say."""
    norm = golden.read_npz(case.file)[case.entry(field) + '/stats'][5]
    return not np.isclose(np.linalg.norm(case.array(field).astype(np.float64)), norm, rtol=1e-6)
