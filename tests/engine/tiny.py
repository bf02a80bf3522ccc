"""A data set of coloured rectangles and configs that train on it within seconds."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine import Config

from mmseg.apis import load_config, train_segmentor
from mmseg.datasets import build_dataset
from mmseg.engine.seeds import seed_everything
from mmseg.models import build_train_model
from mmseg.utils.config_text import format_config

CLASSES = ('road', 'sky', 'car')
COLOURS = ((90, 60, 80), (200, 160, 40), (20, 20, 190))
NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def write_images(folder: Path, count: int = 4, seed: int = 0, shape: tuple[int, int] = (32, 48)) -> Path:
    """``folder/img/*.png`` and ``folder/ann/*.png``: each class has a colour, pixels are noisy."""
    rng = np.random.RandomState(seed)
    for kind in ('img', 'ann'):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        label = np.repeat(np.repeat(rng.randint(0, 3, (shape[0] // 8, shape[1] // 8)), 8, 0), 8, 1)
        image = np.asarray(COLOURS)[label] + rng.randint(-15, 16, (*shape, 3))
        cv2.imwrite(str(folder / 'img' / f'{index}.png'), image.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / 'ann' / f'{index}.png'), label.astype(np.uint8))
    return folder


def _dataset(folder: Path, training: bool) -> dict[str, Any]:
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    collect = [dict(type='Normalize', **NORM), dict(type='DefaultFormatBundle')]
    if training:
        pipeline = [*load, dict(type='RandomCrop', crop_size=(32, 32)), dict(type='RandomFlip', prob=0.5), *collect,
                    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
    else:
        pipeline = [
            load[0],
            dict(type='MultiScaleFlipAug', img_scale=(48, 32), flip=False, transforms=[
                dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **NORM),
                dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])
        ]
    return dict(type='CustomDataset', img_dir=str(folder / 'img'), ann_dir=str(folder / 'ann'), img_suffix='.png',
                seg_map_suffix='.png', classes=CLASSES, palette=[list(c) for c in COLOURS], pipeline=pipeline)


def tiny_config(images: Path, work_dir: Path, max_iters: int = 6, uda: dict[str, Any] | None = None,
                **changes: Any) -> Config:
    """A config, also written beside ``work_dir``: 20 k parameters, dropout, stochastic depth, batch norm, batch 2.

    Args:
        images: folder of :func:`write_images`.
        uda: the ``uda`` section; with it the same images serve as source and target.
        changes: top-level sections to replace; a dict is merged into the section that is there.
    """
    train = _dataset(images, True)
    if uda is not None:
        train = dict(type='UDADataset', source=train, target=copy.deepcopy(train))
    content: dict[str, Any] = dict(
        model=dict(
            type='EncoderDecoder',
            backbone=dict(type='MixVisionTransformer', embed_dims=(8, 8, 16, 16), num_heads=(1, 1, 2, 2),
                          mlp_ratios=(2, 2, 2, 2), depths=(1, 1, 1, 1), drop_path_rate=0.1),
            decode_head=dict(type='SegFormerHead', in_channels=[8, 8, 16, 16], in_index=[0, 1, 2, 3], channels=16,
                             dropout_ratio=0.1, num_classes=3, norm_cfg=dict(type='BN', requires_grad=True),
                             align_corners=False, decoder_params=dict(embed_dim=16),
                             loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        data=dict(samples_per_gpu=2, workers_per_gpu=0, train=train, val=_dataset(images, False)),
        optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01,
                       paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.), norm=dict(decay_mult=0.)))),
        optimizer_config=None,
        lr_config=dict(policy='poly', power=1.0, min_lr=0.0, by_epoch=False, warmup='linear', warmup_iters=3,
                       warmup_ratio=1e-6),
        runner=dict(type='IterBasedRunner', max_iters=max_iters),
        checkpoint_config=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1),
        evaluation=None,
        log_config=dict(interval=1, hooks=[dict(type='TextLoggerHook', by_epoch=False)]),
        seed=0, device='cpu', work_dir=str(work_dir))
    if uda is not None:
        content['uda'] = uda
    for name, value in changes.items():
        merge = isinstance(value, dict) and isinstance(content.get(name), dict)
        content[name] = {**content[name], **value} if merge else value
    file = work_dir.with_name(f'config_{work_dir.name}.py')
    file.write_text(format_config(content))
    return load_config(file)


def train(cfg: Config) -> Any:
    """Build model and data, and train in this process."""
    seed_everything(cfg.seed)
    model = build_train_model(cfg)
    model.init_weights()
    return train_segmentor(model, build_dataset(cfg.data.train), cfg, validate=cfg.get('evaluation') is not None)
