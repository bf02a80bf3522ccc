"""A data set of a few small pictures and a small network with random weights, on disk, as a training leaves them."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from mmseg.apis import load_config
from mmseg.models import build_segmentor

CITIES = ('aachen', 'bonn')
CONFIG = '''
norm = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
crop_size = (32, 32)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='Resize', img_scale=(96, 64)),
    dict(type='RandomCrop', crop_size=crop_size), dict(type='RandomFlip', prob=0.5), dict(type='Normalize', **norm),
    dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255), dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(96, 64), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **norm),
        dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
model = dict(
    type='EncoderDecoder', pretrained='pretrained/mit_b0.pth', backbone=dict(type='mit_b0', style='pytorch'),
    decode_head=dict(
        type='DAFormerHead', in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3], channels=16, dropout_ratio=0.1,
        num_classes=19, norm_cfg=dict(type='BN', requires_grad=True), align_corners=False,
        decoder_params=dict(
            embed_dims=16, embed_cfg=dict(type='mlp', act_cfg=None, norm_cfg=None),
            embed_neck_cfg=dict(type='mlp', act_cfg=None, norm_cfg=None),
            fusion_cfg=dict(type='conv', kernel_size=1, act_cfg=dict(type='ReLU'), norm_cfg=dict(type='BN'))),
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
city = dict(type='CityscapesDataset', data_root={root!r}, img_dir='leftImg8bit/val', ann_dir='gtFine/val')
data = dict(
    samples_per_gpu=2, workers_per_gpu=0, train=dict(type={source!r}, data_root={root!r}, img_dir='source',
                                                     ann_dir='source', pipeline=train_pipeline),
    val=dict(city, pipeline=test_pipeline), test=dict(city, pipeline=test_pipeline))
runner = dict(type='IterBasedRunner', max_iters=2)
'''


@dataclass(frozen=True)
class TinyRun:
    """Paths of a run: its folder, the config and the checkpoint in it, and the data."""
    folder: Path
    config: Path
    checkpoint: Path
    data: Path

    def label(self, city: str, number: int) -> Path:
        return self.data / f'gtFine/val/{city}/{city}_{number:06d}_gtFine_labelTrainIds.png'

    def image(self, city: str, number: int, split: str = 'val') -> Path:
        return self.data / f'leftImg8bit/{split}/{city}/{city}_{number:06d}_leftImg8bit.png'


def make_tiny_run(root: Path, source: str = 'GTADataset', teacher: bool = False) -> TinyRun:
    """Two cities of two 64x96 images with labels, a config, and a checkpoint of student (and teacher)."""
    run = TinyRun(root / 'run_5', root / 'run_5' / 'tiny_5.py', root / 'run_5' / 'latest.pth', root / 'data')
    rng = np.random.RandomState(0)
    for city in CITIES:
        for number in range(2):
            for split in ('val', 'test'):
                path = run.image(city, number, split)
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), cv2.resize(rng.randint(0, 256, (4, 6, 3)).astype(np.uint8), (96, 64)))
            run.label(city, number).parent.mkdir(parents=True, exist_ok=True)
            label = np.kron(rng.randint(0, 19, (4, 6)), np.ones((16, 16))).astype(np.uint8)
            label[:5] = 255
            cv2.imwrite(str(run.label(city, number)), label)
    run.folder.mkdir()
    run.config.write_text(CONFIG.format(root=str(run.data), source=source))
    state = {}
    for seed, prefix in enumerate(('model.', 'ema_model.') if teacher else ('model.', )):
        torch.manual_seed(seed)
        network = build_segmentor(dict(load_config(run.config).model, pretrained=None))
        state.update({prefix + key: value for key, value in network.state_dict().items()})
    torch.save(dict(meta=dict(iter=2), state_dict=state), run.checkpoint)
    return run
