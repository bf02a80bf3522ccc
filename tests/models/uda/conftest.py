"""A small segmentor and batch for tests of the UDA step."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper

from mmseg.models import build_train_model

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
DEVICES = ['cpu'] + (['cuda'] if torch.cuda.is_available() else [])


def model_config(num_classes: int = 5) -> dict[str, Any]:
    """A MiT as wide as B0, with a block per stage, and a 16-channel DAFormer head."""
    layer = dict(type='mlp', act_cfg=None, norm_cfg=None)
    return dict(
        type='EncoderDecoder',
        backbone=dict(type='MixVisionTransformer', embed_dims=(32, 64, 160, 256), num_heads=(1, 2, 5, 8),
                      depths=(1, 1, 1, 1)),
        decode_head=dict(
            type='DAFormerHead',
            in_channels=[32, 64, 160, 256],
            in_index=[0, 1, 2, 3],
            channels=16,
            num_classes=num_classes,
            norm_cfg=dict(type='BN', requires_grad=True),
            align_corners=False,
            decoder_params=dict(
                embed_dims=16,
                embed_cfg=layer,
                embed_neck_cfg=layer,
                fusion_cfg=dict(type='conv', kernel_size=1, act_cfg=dict(type='ReLU'), norm_cfg=dict(type='BN'))),
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'))


def make_batch(batch: int = 2, size: tuple[int, int] = (64, 64), num_classes: int = 5, seed: int = 0) -> dict[str, Any]:
    """A UDA batch as the collate function makes it."""
    rng = np.random.RandomState(seed)
    height, width = size
    label = rng.randint(0, num_classes, (batch, 1, -(-height // 16), -(-width // 16))).astype(np.uint8)
    label = label.repeat(16, 2).repeat(16, 3)[..., :height, :width].copy()
    label[..., :4, :] = 255
    meta = dict(img_norm_cfg=NORM, img_shape=(*size, 3), pad_shape=(*size, 3), ori_shape=(*size, 3), flip=False)
    images = [torch.from_numpy(rng.randint(0, 256, (batch, 3, *size), dtype=np.uint8)) for _ in range(2)]
    return dict(img=images[0], img_metas=[meta] * batch, gt_semantic_seg=torch.from_numpy(label),
                classes=np.unique(label).astype(np.int64), target_img=images[1], target_img_metas=[meta] * batch)


class Recorder(OptimWrapper):
    """Counts the backward passes of a step."""
    backwards = 0

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        self.backwards += 1
        super().backward(loss, **kwargs)


def make_host(device: str = 'cpu', num_classes: int = 5, lr: float = 1e-3, model: dict[str, Any] | None = None,
              **uda: Any) -> tuple[Any, Recorder]:
    """A host (DACS) with its optimizer; weights depend on nothing but the arguments."""
    torch.manual_seed(0)
    uda = dict(type='DACS', pseudo_threshold=0.2) | uda
    model = model or model_config(num_classes)
    host = build_train_model(dict(model=model, uda=uda, runner=dict(max_iters=100)))
    host.to(device).train()
    host.start(seed=3, rank=0, iteration=0)
    trainable = [p for p in host.parameters() if p.requires_grad]
    return host, Recorder(torch.optim.AdamW(trainable, lr=lr))


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param
