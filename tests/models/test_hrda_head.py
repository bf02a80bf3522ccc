"""The fusion of HRDA: where the detail counts, how windows are joined, which head does what."""
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.models import build_head
from mmseg.models.decode_heads import HRDAHead
from mmseg.models.segmentors.results import Box, HeadOutput, HRDAFeatures
from tests.models import nets
from tests.models.base_head import features as maps
from tests.models.base_head import labels

SINGLE = {
    'DAFormerHead': {key: value for key, value in nets.head().items() if key not in ('type', 'num_classes')},
    'SegFormerHead': dict(in_channels=[8, 16, 24, 32], in_index=[0, 1, 2, 3], channels=16, norm_cfg=nets.BN,
                          decoder_params=dict(embed_dim=16)),
    'DLV2Head': dict(in_channels=32, in_index=3, dilations=(2, 4)),
    'FCNHead': dict(in_channels=32, in_index=3, channels=16, norm_cfg=nets.BN),
    'UPerHead': dict(in_channels=[8, 16, 24, 32], in_index=[0, 1, 2, 3], channels=16, pool_scales=(1, 2),
                     norm_cfg=nets.BN),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def build(single: str = 'DAFormerHead', **changes: Any) -> HRDAHead:
    return build_head({'type': 'HRDAHead', 'single_scale_head': single, 'num_classes': 5, 'scales': (0.5, 1),
                       'attention_embed_dim': 8, **SINGLE[single], **changes})


def crop_features(box: Box = (16, 80, 40, 104), size: tuple[int, int] = (128, 160), scale: float = 0.5) -> HRDAFeatures:
    """Of a random crop in images of ``size``."""
    context = maps(int(size[0] * scale), int(size[1] * scale))
    detail = maps(box[1] - box[0], box[3] - box[2])
    return HRDAFeatures([*context, *detail], size, 4, box=box)


@pytest.mark.parametrize('single', SINGLE)
def test_any_head_trains_at_both_scales(single: str) -> None:
    head = build(single, lr_loss_weight=0.1, hr_loss_weight=0.1)
    features = crop_features()
    losses = head.losses(head(features), labels(128, 160), box=features.box)
    losses.total().backward()
    unused = {'head.conv_seg', 'scale_attention.conv_seg'} if single == 'SegFormerHead' else set()
    without = {name.rpartition('.')[0] for name, p in head.named_parameters() if p.grad is None}
    assert without == unused and set(losses) == {f'{part}{name}' for part in ('', 'lr.', 'hr.')
                                                 for name in ('loss_seg', 'acc_seg')}


def test_outside_of_the_crop_only_the_context_counts() -> None:
    head = build().eval()
    features = crop_features()
    output, context = head(features), head.head(features.context).logits
    up = F.interpolate(context, (32, 40), mode='bilinear')
    outside = torch.ones(32, 40, dtype=torch.bool)
    outside[3:21, 9:27] = False  # box (4..20, 10..26), and what the resized mask touches
    assert torch.allclose(output.logits[..., outside], up[..., outside], atol=1e-6)
    assert not torch.allclose(output.logits, up, atol=1e-6)
    attention = head.attention(features.context, context)
    assert torch.allclose(output.parts['lr'][..., 2:10, 5:13], ((1 - attention) * context)[..., 2:10, 5:13])
    assert torch.equal(output.parts['lr'][..., :2, :], context[..., :2, :])


def test_full_attention_shows_the_detail_in_the_crop() -> None:
    head = build(fixed_attention=1.).eval()
    features = crop_features()
    output = head(features)
    assert torch.equal(output.parts['hr'], head.head(features.detail).logits)
    assert torch.allclose(output.logits[..., 5:19, 11:25], output.parts['hr'][..., 1:-1, 1:-1], atol=1e-6)


@pytest.mark.parametrize('box,scale,rows,columns', [
    ((8, 72, 16, 80), 0.25, (0, 4), (1, 5)),  # 16 pixels per cell of the context
    ((16, 80, 24, 88), 0.75, (3, 15), (4, 16)),  # 16 / 3 pixels per cell
])
def test_crops_are_truncated_to_cells_of_the_context(box: Box, scale: float, rows: tuple, columns: tuple) -> None:
    head = build(scales=(scale, 1), fixed_attention=1.).eval()
    lr = head(crop_features(box, scale=scale)).parts['lr']
    hidden = torch.zeros(lr.shape[-2:], dtype=torch.bool)
    hidden[slice(*rows), slice(*columns)] = True
    assert (lr[..., hidden] == 0).all() and (lr[..., ~hidden] != 0).any(dim=1).all()


def windowed(boxes: list[Box], size: tuple[int, int], values: list[float]) -> Tensor:
    """Fused logits of windows with constant detail logits, two images."""
    head = build(fixed_attention=1.).eval()
    features = HRDAFeatures(maps(size[0] // 2, size[1] // 2), size, 4, windows=tuple(boxes))
    detail = torch.cat([torch.full((2, 5, 16, 16), value) for value in values])
    return head.fuse(features, HeadOutput(torch.zeros(2, 5, size[0] // 8, size[1] // 8)), detail).logits


def test_windows_are_averaged_where_they_overlap() -> None:
    fused = windowed([(0, 64, 0, 64), (0, 64, 32, 96)], (64, 96), [1., 3.])
    assert fused.shape == (2, 5, 16, 24)
    assert (fused[..., :8] == 1).all() and (fused[..., 8:16] == 2).all() and (fused[..., 16:] == 3).all()


def test_windows_of_odd_images_cover_every_cell() -> None:
    fused = windowed([(0, 64, 0, 64), (1, 65, 0, 64), (0, 64, 33, 97), (1, 65, 33, 97)], (65, 97), [2.] * 4)
    assert fused.shape == (2, 5, 17, 25) and torch.allclose(fused, torch.tensor(2.))


@pytest.mark.parametrize('classwise,channels', [(True, 5), (False, 1)])
def test_attention_is_per_class_or_one_for_all(classwise: bool, channels: int) -> None:
    head = build(attention_classwise=classwise)
    attention = head.attention(maps(), head.head(maps()).logits)
    assert attention.shape[1] == channels and 0 < attention.min() and attention.max() < 1
    assert head(crop_features()).logits.shape[1] == 5


def test_the_attention_of_daformer_is_narrow_and_without_aspp() -> None:
    head = build()
    assert hasattr(head.head.fuse_layer, 'aspp_modules')
    assert head.scale_attention.channels == 8 and head.scale_attention.fuse_layer.conv.kernel_size == (1, 1)
    cfg = SINGLE['DAFormerHead']
    fusion = dict(cfg['decoder_params']['fusion_cfg'], norm_cfg=None)
    plain = build(norm_cfg=None, decoder_params={**cfg['decoder_params'], 'fusion_cfg': fusion})
    assert plain.scale_attention.fuse_layer.norm is None


@pytest.mark.parametrize('fixed', [0., 0.5, 1.])
def test_fixed_attention_needs_no_head(fixed: float) -> None:
    head = build(fixed_attention=fixed)
    assert not hasattr(head, 'scale_attention')
    assert (head.attention(maps(), torch.zeros(2, 5, 3, 4)) == fixed).all()


def test_attention_output_is_that_of_the_predicted_classes_and_only_in_evaluation() -> None:
    head = build(debug_output_attention=True)
    assert head(crop_features()).logits.shape[1] == 5
    head.eval()
    found = head(crop_features()).logits
    assert found.shape == (2, 1, 32, 40) and 0 <= found.min() and found.max() <= 1
    assert (found[..., :2, :] == 0).all() and found[..., 6:18, 12:24].min() > 0


def test_only_the_parts_with_a_share_have_a_loss() -> None:
    for lr, hr in ((0, 0), (0.2, 0), (0, 0.2)):
        head = build(lr_loss_weight=lr, hr_loss_weight=hr)
        features = crop_features()
        losses = head.losses(head(features), labels(128, 160), box=features.box)
        assert ('lr.loss_seg' in losses, 'hr.loss_seg' in losses) == (lr > 0, hr > 0)


def test_compiling_leaves_the_fusion_with_its_changing_boxes_out() -> None:
    head = build()
    head.compile()
    assert head._compiled_call_impl is None
    assert head.head._compiled_call_impl is not None and head.scale_attention._compiled_call_impl is not None
