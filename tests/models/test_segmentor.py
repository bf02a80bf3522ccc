"""Segmentors: training, inference and their conventions."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg.models.segmentors.sliding import slide, window_boxes
from tests.models import nets

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def sample(height: int = 65, width: int = 97, device: str = 'cpu') -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    img = torch.randn(2, 3, height, width, generator=generator)
    label = torch.randint(0, 5, (2, height, width), generator=generator)
    label[:, :3] = 255
    return img.to(device), label.to(device)


def metas(height: int, width: int, **changes: object) -> list[dict]:
    return [dict(ori_shape=(height, width, 3), flip=False, **changes)] * 2


def test_heads_of_one_network_predict_the_same_classes() -> None:
    with pytest.raises(ValueError, match='the auxiliary_head.1 predicts 4 classes, the decode_head 5: set model.auxil'):
        nets.segmentor(decode_head=nets.head(5), auxiliary_head=[nets.head(5), nets.head(4)])


@pytest.mark.parametrize('backbone, channels', [
    (nets.backbone(in_chans=4), (8, 16, 24, 32)),
    (dict(type='ResNet', depth=18, in_channels=4), (64, 128, 256, 512)),
    (dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0', in_channels=4), (24, 40, 112, 320)),
])
def test_images_of_other_channels_than_the_backbone_reads_are_refused(backbone: dict, channels: tuple) -> None:
    model = nets.segmentor(backbone=backbone, decode_head={**nets.head(), 'in_channels': list(channels)})
    with pytest.raises(ValueError, match='images have 3 channels, but model.backbone reads 4 '):
        model.encode_decode(sample()[0])


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('layers', [
    ('mlp', 'mlp', 'aspp'),
    ('conv', 'same', 'conv'),
    ('sep_conv', 'rawconv_and_aspp', 'isa'),
    ('id', 'id', 'sep_conv'),
])
def test_every_layer_type_trains_on_odd_sizes(layers: tuple[str, str, str], device: str) -> None:
    embed, neck, fusion = layers
    cfg = nets.head(embed=embed, neck=embed if neck == 'same' else neck, fusion=fusion)
    if neck == 'same':
        cfg['decoder_params']['embed_neck_cfg'] = 'same_as_embed_cfg'
    model = nets.segmentor(decode_head=cfg).to(device)
    img, label = sample(device=device)
    losses = model.loss(img, label)
    losses.total().backward()
    assert set(losses) == {'decode.loss_seg', 'decode.acc_seg'}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.encode_decode(img).shape == (2, 5, 65, 97)


@pytest.mark.parametrize('device', DEVICES)
def test_bf16_autocast_keeps_losses_and_logits_in_fp32(device: str) -> None:
    model = nets.segmentor().to(device)
    img, label = sample(device=device)
    plain = model.loss(img, label)['decode.loss_seg']
    with torch.autocast(device, torch.bfloat16):
        decoded = model.decode(model.encode(img))
        losses = model.losses(decoded, label)
    losses.total().backward()
    assert losses['decode.loss_seg'].dtype == model.upsampled(decoded).dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert torch.isclose(losses['decode.loss_seg'], plain, rtol=0.05)


def test_weight_map_scales_the_loss_and_zero_weight_stops_it() -> None:
    model = nets.segmentor().eval()
    img, label = sample()
    whole = model.loss(img, label)['decode.loss_seg']
    half = model.loss(img, label, torch.full((2, 65, 97), 0.5))['decode.loss_seg']
    nothing = model.loss(img, label, torch.zeros(2, 65, 97))['decode.loss_seg']
    assert torch.isclose(half, whole / 2)
    assert nothing == 0


def test_auxiliary_heads_add_losses_in_training_only() -> None:
    img, label = sample()
    single = nets.segmentor(auxiliary_head=nets.head())
    assert {'aux.loss_seg', 'aux.acc_seg'} < set(single.loss(img, label))
    several = nets.segmentor(auxiliary_head=[nets.head(), nets.head()])
    weight = torch.zeros(2, 65, 97)
    losses = several.loss(img, label, weight)
    assert losses['aux_0.loss_seg'] == losses['aux_1.loss_seg'] == 0
    assert single.loss(img, label, weight)['aux.loss_seg'] > 0  # as published
    assert not several.eval().decode(several.encode(img)).auxiliary


def test_neck_changes_what_is_encoded() -> None:
    model = nets.segmentor(neck=dict(type='SegFormerAdapter', scales=[8]))
    maps = model.encode(sample(64, 96)[0]).maps
    assert model.with_neck and [tuple(m.shape[-2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (16, 24)]


def test_prediction_has_the_original_size_and_no_graph() -> None:
    model = nets.segmentor().eval()
    img, _ = sample()
    found = model.predict([img], [metas(50, 70)])
    assert found.shape == (2, 50, 70) and found.dtype == torch.int64
    probabilities = model.inference(img, metas(50, 70))
    assert not probabilities.requires_grad
    assert (probabilities.argmax(1) == found).float().mean() > 0.999  # softmax may round two logits to a tie
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 50, 70))
    assert model.predict([img], [metas(50, 70)], rescale=False).shape == (2, 65, 97)


@pytest.mark.parametrize(('direction', 'dim'), [('horizontal', 3), ('vertical', 2)])
def test_flip_is_undone(direction: str, dim: int) -> None:
    model = nets.segmentor().eval()
    img, _ = sample(64, 96)
    flipped = [{**m, 'flip': True, 'flip_direction': direction} for m in metas(64, 96)]
    expected = model.inference(img.flip(dim), metas(64, 96)).flip(dim)
    assert torch.allclose(model.inference(img.flip(dim), flipped), expected)
    both = model.predict([img, img.flip(dim)], [metas(64, 96), flipped])
    average = (model.inference(img, metas(64, 96)) + expected) / 2
    assert torch.equal(both, average.argmax(1))


def test_images_of_different_size_in_one_batch_are_refused() -> None:
    model = nets.segmentor().eval()
    mixed = [dict(ori_shape=(50, 70, 3), filename='a.png'), dict(ori_shape=(51, 70, 3), filename='b.png')]
    with pytest.raises(ValueError, match=r'a\.png and b\.png'):
        model.predict([sample()[0]], [mixed])


def test_windows_cover_the_image_and_end_at_its_border() -> None:
    assert window_boxes((100, 64), (64, 64), (32, 32)) == [(0, 64, 0, 64), (32, 96, 0, 64), (36, 100, 0, 64)]
    assert window_boxes((40, 50), (64, 64), (32, 32)) == [(0, 40, 0, 50)]
    covered = np.zeros((97, 131))
    for y1, y2, x1, x2 in window_boxes((97, 131), (48, 40), (31, 40)):
        covered[y1:y2, x1:x2] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize('batched', [False, True])
def test_sliding_a_pointwise_function_changes_nothing(batched: bool) -> None:
    img = sample()[0]
    found = slide(lambda x: x * 2, img, (32, 48), (20, 30), batched)
    assert torch.allclose(found, img * 2)


def test_slide_inference_needs_no_more_than_test_cfg() -> None:
    img, _ = sample(64, 96)
    model = nets.segmentor(test_cfg=dict(mode='slide', crop_size=(64, 96), stride=(32, 48))).eval()
    slid = model.inference(img, metas(64, 96))
    model.test_cfg = dict(mode='whole')
    assert torch.allclose(slid, model.inference(img, metas(64, 96)))


def test_conventions_of_mmsegmentation() -> None:
    model = nets.segmentor()
    img, label = sample()
    losses = model(img, metas(65, 97), gt_semantic_seg=label.unsqueeze(1), seg_weight=torch.ones(2, 65, 97))
    assert losses['decode.loss_seg'].requires_grad
    model.eval()
    found = model(return_loss=False, img=[img], img_metas=[metas(50, 70)])
    assert len(found) == 2 and found[0].shape == (50, 70) and found[0].dtype == np.int64
    assert np.array_equal(found, model.simple_test(img, metas(50, 70)))
    assert np.mean(np.equal(found, model.aug_test([img, img], [metas(50, 70)] * 2))) > 0.999


def test_pretrained_in_two_places_is_refused() -> None:
    with pytest.raises(ValueError, match='pretrained'):
        nets.segmentor(pretrained='a.pth', backbone=nets.backbone(pretrained='b.pth'))


@pytest.mark.parametrize('change, message', [
    (dict(in_channels=[8, 16, 24, 99]), r'in_channels=\[8, 16, 24, 99\] of DAFormerHead does not fit'),
    (dict(in_index=[0, 1, 2, 4]), r'in_index=\[0, 1, 2, 4\] of DAFormerHead names a level'),
])
def test_heads_for_other_maps_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nets.segmentor(decode_head={**nets.head(), **change})


@pytest.mark.parametrize('device', DEVICES)
def test_training_reduces_the_loss_and_repeats_bit_by_bit(device: str) -> None:
    from mmengine.optim import OptimWrapper

    img, label = sample(64, 64, device)
    batch = dict(img=img, img_metas=metas(64, 64), gt_semantic_seg=label.unsqueeze(1).to(torch.uint8))

    def train() -> list[float]:
        torch.manual_seed(0)
        model = nets.segmentor().to(device).train()
        optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
        model.start(seed=3, rank=0, iteration=0)
        return [float(model.train_step(batch, optimizer)['decode.loss_seg']) for _ in range(12)]

    first, second = train(), train()
    assert first[-1] < first[0]
    if device == 'cpu':
        assert first == second
