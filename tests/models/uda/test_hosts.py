"""What the hosts without a teacher, AdvSeg and MinEnt, have in common, MIC among it."""
from __future__ import annotations

import pytest
import torch

from mmseg.utils.waiting import never_waits, pinned

from .conftest import make_batch, make_host

BLOCKS = dict(type='block', mask_ratio=0.7, mask_block_size=16)
MIC = dict(mask_mode='separatetrg', mask_lambda=1, mask_generator=BLOCKS)

pytestmark = pytest.mark.parametrize('host_type', ['AdvSeg', 'MinEnt'])


@pytest.mark.parametrize('size, batch, num_classes', [((64, 64), 1, 5), ((64, 96), 3, 2), ((90, 120), 2, 11)])
def test_any_batch_size_crop_and_number_of_classes(device, host_type, size, batch, num_classes):
    host, wrapper = make_host(device, num_classes=num_classes, type=host_type, **dict(MIC, mask_mode='separateaug'))
    for _ in range(2):
        log = host.train_step(make_batch(size=size, batch=batch, num_classes=num_classes), wrapper)
        assert all(torch.isfinite(value) for value in log.values())


def test_mic_joins_with_a_teacher_of_its_own(device, host_type):
    host, wrapper = make_host(device, type=host_type, **MIC)
    student = [p.detach().clone() for p in host.model.parameters()]
    log = host.train_step(make_batch(), wrapper)
    assert {'masked.decode.loss_seg', 'masked.decode.acc_seg'} <= log.keys()
    assert any(name.startswith('mic.teacher.ema_model.') for name in host.state_dict())
    for mine, teacher in zip(student, host.mic.teacher.ema_model.parameters()):
        assert torch.equal(mine, teacher)
        assert not teacher.requires_grad
    host.train_step(make_batch(), wrapper)
    assert not any(torch.equal(mine, p) for mine, p in zip(student[:1], host.mic.teacher.ema_model.parameters()))


def test_the_source_is_learned_as_without_adaptation(host_type):
    host, wrapper = make_host(type=host_type)
    plain, plain_wrapper = make_host(source_only=True)
    assert host.train_step(make_batch(), wrapper)['decode.loss_seg'] == plain.train_step(
        make_batch(), plain_wrapper)['decode.loss_seg']


def test_crops_of_both_domains_may_differ_in_size(host_type):
    host, wrapper = make_host(type=host_type, **MIC)
    batch = make_batch() | {'target_img': make_batch(size=(64, 96))['target_img']}
    host.train_step(batch, wrapper)
    both, wrapper = make_host(type=host_type, **dict(MIC, mask_mode='separate'))
    with pytest.raises(ValueError, match='masked in one batch'):
        both.train_step(batch, wrapper)


def test_margins_reach_the_teacher_of_mic(host_type):
    host, wrapper = make_host(type=host_type, **MIC, pseudo_weight_ignore_top=10)
    host.capture = True
    views = []
    original = host.mic.view
    host.mic.view = lambda step: views.append(original(step)) or views[-1]
    host.train_step(make_batch(), wrapper)
    assert (views[0].weight[:, :10] == 0).all() and (views[0].weight[:, 10:] > 0).all()
    titles = [panel.title for panel in host.captured]
    assert titles == ['Source', 'Source label', 'Target', 'Masked', 'Masked label']


@pytest.mark.parametrize('uda, message', [
    (dict(alhpa=0.9), "did you mean 'alpha'"),
    (dict(mix='class'), "no key 'mix'"),
    (dict(imnet_feature_dist_lambda=0.005), 'compares the encoder with its ImageNet weights'),
    (dict(mrm=dict()), r'MaskedRepresentation \(uda.mrm\) learns from pseudo labels: .* this method does not have'),
    (dict(alpha=2), r'\[0, 1\]'),
])
def test_bad_keys_and_values_are_named(host_type, uda, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make_host(type=host_type, **uda)


def test_autocast_keeps_losses_in_fp32(device, host_type):
    host, wrapper = make_host(device, type=host_type, **MIC)
    wrapper.optim_context = lambda model: torch.autocast(torch.device(device).type, torch.bfloat16)
    log = host.train_step(make_batch(), wrapper)
    assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in log.values())


def test_the_step_never_waits_for_the_device(device, host_type):
    host, wrapper = make_host(device, type=host_type, **MIC)
    host.train_step(make_batch(), wrapper)
    batch = pinned(make_batch())
    with never_waits(device):
        host.train_step(batch, wrapper)
