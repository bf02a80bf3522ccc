"""Tiny data sets in the layouts of GTA and Cityscapes, and their configs."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
SIZE = (48, 96)
CROP = (32, 32)


def write_image(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8))


def write_label(path: Path, seed: int, size: tuple[int, int] = SIZE,
                ids: tuple[int, ...] = (0, 1, 2, 6, 12, 255)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.RandomState(seed).choice(ids, (-(-size[0] // 8), -(-size[1] // 8))).astype(np.uint8)
    cv2.imwrite(str(path), cells.repeat(8, 0).repeat(8, 1)[:size[0], :size[1]])


def write_game(root: Path, count: int = 4) -> Path:
    """``images/00000.png`` and ``labels/00000_labelTrainIds.png``."""
    for i in range(count):
        write_image(root / 'images' / f'{i:05d}.png', i)
        write_label(root / 'labels' / f'{i:05d}_labelTrainIds.png', i)
    return root


def write_city(root: Path, split: str = 'train', count: int = 3) -> Path:
    """Cityscapes' folders, all images in one city."""
    for i in range(count):
        stem = f'{split}/ulm/ulm_{i:06d}_000019'
        write_image(root / 'leftImg8bit' / f'{stem}_leftImg8bit.png', 100 + i)
        write_label(root / 'gtFine' / f'{stem}_gtFine_labelTrainIds.png', 100 + i)
    return root


def train_pipeline(crop: tuple[int, int] = CROP, scale: tuple[int, int] = (96, 48), cat_max_ratio: float = 1.0,
                   labels: bool = True) -> list[dict[str, Any]]:
    """The pipeline of the shipped configs."""
    loading = [dict(type='LoadImageFromFile'), *([dict(type='LoadAnnotations')] if labels else [])]
    return [
        *loading, dict(type='Resize', img_scale=scale),
        dict(type='RandomCrop', crop_size=crop, cat_max_ratio=cat_max_ratio), dict(type='RandomFlip', prob=0.5),
        dict(type='Normalize', **NORM), dict(type='Pad', size=crop, pad_val=0, seg_pad_val=255),
        dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', *(['gt_semantic_seg'] if labels else [])])
    ]


def test_pipeline(scale: tuple[int, int] = (96, 48), **augmentation: Any) -> list[dict[str, Any]]:
    return [
        dict(type='LoadImageFromFile'),
        dict(type='MultiScaleFlipAug', img_scale=scale, **augmentation, transforms=[
            dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **NORM),
            dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])
    ]


test_pipeline.__test__ = False  # the name is that of the configs


def game_cfg(root: Path, **changes: Any) -> dict[str, Any]:
    return dict(dict(type='GTADataset', data_root=str(root), img_dir='images', ann_dir='labels',
                     pipeline=train_pipeline(cat_max_ratio=0.75)), **changes)


def city_cfg(root: Path, part: str = 'train', **changes: Any) -> dict[str, Any]:
    return dict(dict(type='CityscapesDataset', data_root=str(root), img_dir=f'leftImg8bit/{part}',
                     ann_dir=f'gtFine/{part}', pipeline=train_pipeline()), **changes)


def uda_cfg(game: Path, city: Path, source: dict[str, Any] | None = None, target: dict[str, Any] | None = None,
            **changes: Any) -> dict[str, Any]:
    """Source and target; ``source`` and ``target`` change their sections."""
    return dict(type='UDADataset', source=game_cfg(game, **(source or {})), target=city_cfg(city, **(target or {})),
                **changes)
