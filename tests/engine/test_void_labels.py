"""A source whose pixels are all void teaches nothing, whatever its files call void and whoever else names it."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets import build_dataset, build_train_loader
from mmseg.engine.optim import build_optim_wrapper
from mmseg.errors import DataError
from mmseg.models import build_train_model
from tests.engine.tiny import tiny_config, write_images


def void_config(tmp_path: Path, changes: dict[str, Any], head: dict[str, Any]) -> Any:
    """Four images whose label maps hold nothing but 3, of three classes; crops are padded."""
    images = write_images(tmp_path / 'images')
    for path in (images / 'ann').iterdir():
        cv2.imwrite(str(path), np.full((32, 48), 3, np.uint8))
    cfg = tiny_config(images, tmp_path / 'run', uda=dict(type='DACS', alpha=0.9))
    cfg.model.decode_head.update(head)
    for part in ('source', 'target'):
        section = cfg.data.train[part]
        section.update(ignore_index=3)
        pad = dict(type='Pad', size=(40, 40), **changes)
        steps = [dict(step) for step in section.pipeline]
        position = next(i for i, step in enumerate(steps) if step['type'] == 'DefaultFormatBundle')
        section.pipeline = [*steps[:position], pad, *steps[position:]]
    return cfg


@pytest.mark.parametrize('changes', [{}, dict(seg_pad_val=255), dict(seg_pad_val=3)])
@pytest.mark.parametrize('head', [{}, dict(ignore_index=3), dict(sampler=dict(type='OHEMPixelSampler', min_kept=10))])
def test_void_pixels_have_no_loss(tmp_path, changes, head) -> None:
    cfg = void_config(tmp_path, changes, head)
    [batch] = build_train_loader(build_dataset(cfg.data.train), 2, 0, seed=0, stop=1)
    assert batch['classes'].tolist() == [255] and (batch['gt_semantic_seg'] == 255).all()
    model = build_train_model(cfg).train()
    losses = model.train_step(batch, build_optim_wrapper(model, cfg))
    assert losses['decode.loss_seg'] == 0


def test_rare_class_sampling_says_that_nothing_is_labelled(tmp_path) -> None:
    cfg = void_config(tmp_path, {}, {})
    cfg.data.train.rare_class_sampling = dict(min_pixels=1)
    with pytest.raises(DataError, match='all 4 label maps, such as .*, are 255 .*check ann_dir, label_map'):
        build_dataset(cfg.data.train)


def test_an_id_that_is_no_class_of_the_network_never_reaches_the_loss(tmp_path) -> None:
    """The loss would not clamp it either; the step names the file before."""
    images = write_images(tmp_path / 'images')
    cfg = tiny_config(images, tmp_path / 'run', uda=dict(type='DACS', alpha=0.9))
    [batch] = build_train_loader(build_dataset(cfg.data.train), 2, 0, seed=0, stop=1)
    cfg.model.decode_head.num_classes = 2
    model = build_train_model(cfg).train()
    with pytest.raises(ValueError, match=r'the labels of .*img/.*png hold \[2\], the network knows the classes 0 to 1'):
        model.train_step(batch, build_optim_wrapper(model, cfg))
    features = torch.zeros(1, 2, 4, 4)
    with pytest.raises(RuntimeError, match='out of bounds'):
        model.model.decode_head.losses_of(features, torch.full((1, 4, 4), 2), None)
