"""HRDA as a segmentor: crops and windows, what its features carry, inference, and training in DACS."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg.models import build_train_model
from mmseg.models.segmentors import BaseSegmentor
from mmseg.models.segmentors.sliding import CROPS_PER_CALL
from tests.models import nets
from tests.models.uda.conftest import make_batch

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def sample(height: int = 96, width: int = 128, batch: int = 2, device: str = 'cpu') -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    img = torch.randn(batch, 3, height, width, generator=generator)
    label = torch.randint(0, 5, (batch, height, width), generator=generator)
    label[:, :3] = 255
    return img.to(device), label.to(device)


def rng(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


def meta(height: int, width: int) -> list[dict]:
    return [dict(ori_shape=(height, width, 3), flip=False)] * 2


# training


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('size,crop,scales,batch', [
    ((96, 128), (64, 64), [1, 0.5], 2),
    ((97, 131), (64, 48), [0.5, 1], 1),
    ((131, 96), (33, 50), [1, 0.75], 2),
    ((128, 160), (64, 64), [1, 0.25], 1),
    ((80, 96), (64, 64), [1, 1], 1),
])
def test_every_parameter_learns(size: tuple, crop: tuple, scales: list, batch: int, device: str) -> None:
    model = nets.hrda(hr_crop_size=crop, scales=scales, feature_scale='all',
                      decode_head=dict(lr_loss_weight=0.1)).to(device)
    img, label = sample(*size, batch=batch, device=device)
    decoded = model.decode(model.encode(img, model.draw_box(size, rng())))
    losses = model.losses(decoded, label)
    losses.total().backward()
    assert list(losses) == [f'decode.{part}{name}' for part in ('', 'lr.', 'hr.') for name in ('loss_seg', 'acc_seg')]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.upsampled(decoded).shape == (batch, 5, *size)
    assert model.eval().encode_decode(img).shape == (batch, 5, *size)


@pytest.mark.parametrize('device', DEVICES)
def test_bf16_autocast_keeps_fusion_and_losses_in_fp32(device: str) -> None:
    model = nets.hrda().to(device).eval()
    img, label = sample(device=device)
    box = model.draw_box((96, 128), rng())
    plain = model.losses(model.decode(model.encode(img, box)), label)['decode.loss_seg']
    with torch.autocast(device, torch.bfloat16):
        decoded = model.decode(model.encode(img, box))
        losses = model.losses(decoded, label)
        slid = model.encode_decode(img)
    losses.total().backward()
    assert {x.dtype for x in (decoded.logits, decoded.lr, slid, losses['decode.hr.loss_seg'])} == {torch.float32}
    assert torch.isclose(losses['decode.loss_seg'], plain, rtol=0.05)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_detail_loss_sees_the_crop_of_label_and_weight() -> None:
    model = nets.hrda(decode_head=dict(lr_loss_weight=0.2, hr_loss_weight=0.3)).eval()
    img, label = sample()
    weight = torch.rand(2, 96, 128)
    box = (16, 80, 40, 104)
    decoded = model.decode(model.encode(img, box))
    losses = model.losses(decoded, label, weight)

    def expected(logits: torch.Tensor, y1: int = 0, y2: int = 96, x1: int = 0, x2: int = 128) -> torch.Tensor:
        full = F.interpolate(logits, (y2 - y1, x2 - x1), mode='bilinear')
        loss = F.cross_entropy(full, label[:, y1:y2, x1:x2], ignore_index=255, reduction='none')
        return (loss * weight[:, y1:y2, x1:x2]).mean()

    assert torch.isclose(losses['decode.loss_seg'], 0.5 * expected(decoded.logits))
    assert torch.isclose(losses['decode.lr.loss_seg'], 0.2 * expected(decoded.lr))
    assert torch.isclose(losses['decode.hr.loss_seg'], 0.3 * expected(decoded.hr, *box))
    assert decoded.box == box and decoded.hr.shape[-2:] == (16, 16) and decoded.logits.shape[-2:] == (24, 32)


@pytest.mark.parametrize('divisible', [1, 2, 8])
def test_boxes_lie_inside_at_multiples_of_the_divisor(divisible: int) -> None:
    model = nets.hrda(hr_crop_size=(32, 48), crop_coord_divisible=divisible)
    draws = rng()
    boxes = [model.draw_box((97, 131), draws) for _ in range(500)]
    for y1, y2, x1, x2 in boxes:
        assert (y2 - y1, x2 - x1) == (32, 48) and 0 <= y1 and y2 <= 97 and 0 <= x1 and x2 <= 131
        assert y1 % divisible == x1 % divisible == 0
    assert len(set(boxes)) > 20 and model.draw_box((97, 131), rng(1)) == model.draw_box((97, 131), rng(1))


def test_a_crop_of_the_whole_image_equals_no_crop() -> None:
    img, label = sample(64, 96)
    cropped, plain = (nets.hrda(hr_crop_size=crop, feature_scale='all') for crop in ((64, 96), None))
    plain.load_state_dict(cropped.state_dict())
    assert cropped.draw_box((64, 96), rng()) == (0, 64, 0, 96) and plain.draw_box((64, 96), rng()) is None
    with torch.no_grad():
        for mode in (True, False):
            torch.manual_seed(1)
            first = cropped.train(mode).loss(img, label)
            torch.manual_seed(1)
            second = plain.train(mode).loss(img, label)
            assert first.keys() == second.keys()
            assert all(torch.isclose(first[name], second[name]) for name in first)


def test_nothing_is_kept_between_calls() -> None:
    model = nets.hrda().eval()
    img, label = sample()
    first, second = model.encode(img, (0, 64, 0, 64)), model.encode(img, (24, 88, 56, 120))
    with torch.no_grad():
        late = model.losses(model.decode(first), label)
        model.losses(model.decode(second), label)
        again = model.losses(model.decode(model.encode(img, (0, 64, 0, 64))), label)
    assert late == again


def test_plain_training_repeats_with_the_seed_of_the_run() -> None:
    logs, state = [], nets.hrda().state_dict()
    for _ in range(2):
        model = nets.hrda()
        model.load_state_dict(state)
        model.train().start(seed=1, rank=0, iteration=5)
        batch = {key: value for key, value in make_batch(size=(96, 128)).items() if not key.startswith('target')}
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.01))
        logs.append({name: value.item() for name, value in model.train_step(batch, wrapper).items()})
    assert logs[0] == logs[1] and 'decode.hr.loss_seg' in logs[0]


# features


def test_maps_are_context_then_detail_and_can_be_replaced() -> None:
    model = nets.hrda().eval()
    img, _ = sample()
    features = model.encode(img, (16, 80, 40, 104))
    assert [tuple(m.shape[-2:]) for m in features.maps] == [(12, 16), (6, 8), (3, 4), (2, 2),
                                                            (16, 16), (8, 8), (4, 4), (2, 2)]
    context, detail = features.by_scale()
    assert context + detail == features.maps
    leaves = [m.detach().requires_grad_() for m in features.maps]
    decoded = model.decode(features.replace(leaves))
    assert decoded.box == features.box and torch.equal(decoded.logits, model.decode(features).logits)
    decoded.logits.square().mean().backward()
    assert all(leaf.grad.abs().sum() > 0 for leaf in leaves)


@pytest.mark.parametrize('feature_scale,boxes', [(0.5, [None]), (1, [(16, 80, 40, 104)]),
                                                 ('all', [None, (16, 80, 40, 104)])])
def test_the_frozen_network_sees_what_the_student_saw(feature_scale: Any, boxes: list) -> None:
    model = nets.hrda(feature_scale=feature_scale).eval()
    img, _ = sample()
    features = model.encode(img, (16, 80, 40, 104))
    mine, theirs = features.compared(), model.reference_features(img, features).compared()
    assert [box for _, box in mine] == [box for _, box in theirs] == boxes
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(mine, theirs))


def test_a_plain_segmentor_has_one_scale() -> None:
    features = nets.segmentor().eval().encode(sample()[0])
    assert features.by_scale() == [features.maps]


# inference


def count_crops(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all image batches that the backbone sees from now on."""
    seen, original = [], model.extract_feat

    def spy(img: torch.Tensor) -> list[torch.Tensor]:
        seen.append(tuple(img.shape))
        return original(img)

    monkeypatch.setattr(model, 'extract_feat', spy)
    return seen


@pytest.mark.parametrize('batched', [False, True])
@pytest.mark.parametrize('size,crop,stride,detail,encoded', [
    ((64, 128), (64, 64), (32, 32), (32, 32), 3 + 21),  # as 1024x2048, windows of 1024, detail of 512: not 3 + 27
    ((83, 131), (64, 80), (33, 40), (32, 48), 6 + 54),
    ((60, 70), (64, 64), (32, 32), (64, 64), 2 + 2),
])
def test_shared_detail_windows_are_computed_once(size: tuple, crop: tuple, stride: tuple, detail: tuple,
                                                 encoded: int, batched: bool,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    test_cfg = dict(mode='slide', crop_size=crop, stride=stride, batched_slide=batched)
    model = nets.hrda(hr_crop_size=detail, test_cfg=test_cfg).eval()
    nn.init.normal_(model.decode_head.head.conv_seg.weight, std=0.2)
    img, _ = sample(*size, batch=2)
    with torch.no_grad():
        plain = BaseSegmentor.logits(model, img)
        seen = count_crops(model, monkeypatch)
        found = model.logits(img)
    assert plain.std() > 0.1
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-6)
    assert found.shape == (2, 5, *size) and sum(shape[0] for shape in seen) == 2 * encoded
    assert max(shape[0] for shape in seen) <= CROPS_PER_CALL


def test_the_teacher_slides_in_training_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nets.hrda(hr_crop_size=(32, 32)).train()
    img, _ = sample(96, 128)
    seen = count_crops(model, monkeypatch)
    with torch.no_grad():
        decoded = model.decode_image(img)
    assert decoded.box is None and decoded.hr.shape[-2:] == decoded.logits.shape[-2:] == (24, 32)
    assert seen == [(2, 3, 48, 64), (2 * 35, 3, 32, 32)]  # one call, so that batch statistics cover all crops


def test_ways_to_see_the_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    img, _ = sample(128, 96, batch=1)
    for changes, expected in ((dict(), (9, 3, 64, 48)), (dict(hr_slide_overlapping=False), (4, 3, 64, 48)),
                              (dict(hr_slide_inference=False), (1, 3, 128, 96))):
        model = nets.hrda(hr_crop_size=(64, 48), **changes).eval()
        seen = count_crops(model, monkeypatch)
        with torch.no_grad():
            assert model.predict([img], [meta(64, 48)]).shape == (1, 64, 48)
        assert seen == [(1, 3, 64, 48), expected]


def test_blur_takes_the_detail_from_a_halved_image() -> None:
    img, _ = sample(96, 129)
    model = nets.hrda(blur_hr_crop=True).eval()
    small = F.interpolate(img, (48, 64), mode='bilinear')
    blurred = F.interpolate(small, (96, 129), mode='bilinear')
    sharp = nets.hrda().eval()
    sharp.load_state_dict(model.state_dict())
    box = (8, 72, 16, 80)
    assert torch.allclose(model.encode(img, box).detail[-1], sharp.encode(blurred, box).detail[-1], atol=1e-6)
    assert torch.equal(model.encode(img, box).context[-1], sharp.encode(img, box).context[-1])
    model.test_cfg = dict(mode='slide', crop_size=(64, 96), stride=(32, 48))
    assert model.inference(img, meta(96, 129)).shape == (2, 5, 96, 129)


def test_one_scale_is_the_single_scale_head() -> None:
    model = nets.hrda(scales=[0.5], hr_crop_size=None, feature_scale=0.5)
    img, label = sample()
    losses = model.loss(img, label)
    losses.total().backward()
    assert set(losses) == {'decode.loss_seg', 'decode.acc_seg'}
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval().predict([img], [meta(96, 128)]).shape == (2, 96, 128)


def test_low_resolution_high_resolution_and_attention_outputs() -> None:
    img, _ = sample()
    learned = nets.hrda().eval()
    outputs = {}
    for name, change in (('LR', dict(fixed_attention=0.)), ('HR', dict(fixed_attention=1.)),
                         ('ATT', dict(debug_output_attention=True))):
        model = nets.hrda(decode_head=change, test_cfg=dict(mode='slide', crop_size=(96, 96), stride=(48, 48))).eval()
        model.load_state_dict(learned.state_dict(), strict=False)
        outputs[name] = model.predict([img, img], [meta(48, 64), meta(48, 64)])
        if name != 'ATT':
            part = {'LR': 'lr', 'HR': 'hr'}[name]
            decoded = model.decode_image(img)
            expected = F.interpolate(getattr(decoded, part), (24, 32), mode='bilinear')
            assert torch.allclose(decoded.logits, expected, atol=1e-6)
    assert outputs['LR'].dtype == outputs['HR'].dtype == torch.int64
    attention = outputs['ATT']
    assert attention.shape == (2, 48, 64) and attention.is_floating_point()
    assert 0 <= attention.min() and attention.max() <= 1


# what does not fit together


@pytest.mark.parametrize('changes,message', [
    (dict(scales=[1, 0.5, 0.25]), 'one or two'),
    (dict(scales=[0.5], feature_scale=0.5), 'hr_crop_size'),
    (dict(scales=[0.5, 2]), 'hr_crop_size'),
    (dict(feature_scale=0.25), 'feature_scale'),
    (dict(auxiliary_head=nets.head()), 'auxiliary_head'),
    (dict(decode_head=dict(hr_loss_weight=0.7, lr_loss_weight=0.6)), 'shares'),
])
def test_contradictions_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nets.hrda(**changes)


def test_a_plain_head_is_refused() -> None:
    with pytest.raises(ValueError, match='HRDAHead'):
        nets.segmentor(type='HRDAEncoderDecoder', scales=[1, 0.5], feature_scale=0.5)


@pytest.mark.parametrize('size', [(64, 128), (48, 128), (68, 128)])
def test_images_without_room_for_the_crop_name_the_keys(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='hr_crop_size.*crop_coord_divisible'):
        nets.hrda().draw_box(size, rng())


def test_keys_that_the_originals_wrote_into_the_head_are_accepted() -> None:
    model = nets.hrda(decode_head=dict(scales=[1], enable_hr_crop=False, hr_slide_inference=True))
    assert model.decode_head.scales == (0.5, 1)


# in DACS


def make_host(**uda: Any) -> nn.Module:
    model = dict(
        type='HRDAEncoderDecoder',
        backbone=nets.backbone(),
        decode_head={**nets.head(), 'type': 'HRDAHead', 'single_scale_head': 'DAFormerHead', 'hr_loss_weight': 0.1,
                     'attention_embed_dim': 16},
        scales=[1, 0.5], hr_crop_size=(32, 32), feature_scale=uda.pop('feature_scale', 0.5), crop_coord_divisible=8)
    uda = dict(type='DACS', pseudo_threshold=0.2, imnet_feature_dist_lambda=0.005, imnet_feature_dist_allow_random=True,
               imnet_feature_dist_classes=[1, 2], imnet_feature_dist_scale_min_ratio=0.5) | uda
    host = build_train_model(dict(model=model, uda=uda, runner=dict(max_iters=100))).train()
    host.start(seed=3, rank=0, iteration=0)
    return host


def step(host: nn.Module, **batch: Any) -> dict[str, float]:
    wrapper = OptimWrapper(torch.optim.AdamW([p for p in host.parameters() if p.requires_grad], lr=1e-3))
    log = host.train_step({**make_batch(size=(64, 96)), **batch}, wrapper)
    return {name: value.item() for name, value in log.items()}


@pytest.mark.parametrize('feature_scale', [0.5, 'all'])
def test_dacs_logs_every_part_and_draws_a_box_per_branch(feature_scale: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host(feature_scale=feature_scale)
    boxes, original = [], host.model.encode
    monkeypatch.setattr(host.model, 'encode', lambda img, box=None: boxes.append(box) or original(img, box))
    log = step(host)
    parts = [f'{prefix}decode.{part}{name}' for prefix in ('', 'mix.') for part in ('', 'hr.')
             for name in ('loss_seg', 'acc_seg')]
    assert set(log) == {*parts, 'src.loss_imnet_feat_dist', 'pseudo_weight'}
    assert all(np.isfinite(value) for value in log.values())
    assert len(boxes) == 2 and None not in boxes and boxes[0] != boxes[1]
    assert all((p.grad is not None) == name.startswith('model.') for name, p in host.named_parameters())


def test_the_loaders_mask_of_valid_pixels_takes_the_margins_out() -> None:
    valid = torch.zeros(2, 1, 64, 96, dtype=torch.uint8)
    host = make_host(imnet_feature_dist_lambda=0)
    host.mixed, weights = (lambda original: lambda state: weights.append(state.pseudo.weight) or original(state))(
        host.mixed), []
    valid[:, :, 8:-16, 4:-4] = 1
    step(host, valid_pseudo_mask=valid)
    inside = valid.squeeze(1).bool()
    assert (weights[0][~inside] == 0).all() and (weights[0][inside] > 0).all()
