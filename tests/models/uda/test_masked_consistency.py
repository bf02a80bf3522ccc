"""Masked image consistency as users rely on it: modes, batches, teachers, the factor, messages."""
from __future__ import annotations

import pytest
import torch

from .base_objective import ObjectiveTests
from .conftest import make_batch, make_host

BLOCKS = dict(type='block', mask_ratio=0.7, mask_block_size=16)
MIC = dict(mask_mode='separate', mask_lambda=1, mask_generator=BLOCKS)


class TestSharedTeacher(ObjectiveTests):
    uda = dict(MIC, mask_mode='separatetrg')
    off = dict(mask_mode=None)
    trained, logged = {'masked.decode.loss_seg'}, {'masked.decode.acc_seg'}


class TestPrivateTeacher(TestSharedTeacher):
    uda = dict(MIC, mask_mode='separateaug', mask_alpha=0.9)
    still = ('mic.teacher.ema_model.', )


def masked(mode: str = 'separatetrg', **uda):
    return make_host(mask_mode=mode, mask_lambda=1, mask_generator=BLOCKS, **uda)


def seen(host, wrapper, iteration: int = 0, **batch):
    """What the student is fed in the masked branch: (step, view)."""
    steps = []
    original = host.begin
    host.begin = lambda *args: steps.append(original(*args)) or steps[-1]
    host.start(3, 0, iteration)
    host.train_step(make_batch(**batch), wrapper)
    host.begin = original
    return steps[0], steps[0].seen['masked']


def test_three_backwards_and_the_log_names(device):
    host, wrapper = masked(device=device)
    log = host.train_step(make_batch(), wrapper)
    assert wrapper.backwards == 3
    assert {'masked.decode.loss_seg', 'masked.decode.acc_seg'} <= log.keys()


def test_one_domain_with_its_labels_and_weights():
    step, view = seen(*masked('separatetrg'))
    assert torch.equal(view.label, step.pseudo.label)
    assert torch.equal(view.weight, step.pseudo.weight)
    step, view = seen(*masked('separatesrc'))
    assert torch.equal(view.label, step.source.label)
    assert view.weight is None


@pytest.mark.parametrize('batch,iteration,sources', [(1, 0, 1), (1, 1, 0), (2, 0, 1), (3, 0, 2), (5, 1, 3)])
def test_separate_takes_the_first_half_from_the_source(batch, iteration, sources):
    host, wrapper = masked('separate')
    step, view = seen(host, wrapper, iteration, batch=batch)
    assert torch.equal(view.label[:sources], step.source.label[:sources])
    assert torch.equal(view.label[sources:], step.pseudo.label[:batch - sources])
    assert (view.weight[:sources] == 1).all()
    assert torch.equal(view.weight[sources:], step.pseudo.weight[:batch - sources])
    assert len(view.img) == len(view.label) == len(view.weight) == batch


def test_hidden_blocks_are_zero_and_the_rest_is_the_image():
    host, wrapper = masked()
    step, view = seen(host, wrapper)
    hidden = (view.img == 0).all(dim=1)
    assert torch.equal(view.img, step.target_img * ~hidden[:, None])
    blocks = hidden.unfold(1, 16, 16).unfold(2, 16, 16).flatten(3)
    assert (blocks.all(-1) | ~blocks.any(-1)).all()
    assert blocks.any()
    assert not blocks.all()


def test_ratio_zero_hides_nothing():
    host, wrapper = make_host(mask_mode='separatetrg', mask_lambda=1, mask_generator=dict(BLOCKS, mask_ratio=0))
    step, view = seen(host, wrapper)
    assert torch.equal(view.img, step.target_img)


def test_augmented_modes_change_the_colours():
    host, wrapper = masked('separatetrgaug', color_jitter_probability=0.)
    step, view = seen(host, wrapper)
    visible = (view.img != 0).all(dim=1, keepdim=True).expand_as(view.img)
    assert not torch.equal(view.img[visible], step.target_img[visible])


def test_the_factor_scales_the_loss():
    logs = []
    for factor in (1, 0.5):
        host, wrapper = make_host(mask_mode='separatetrg', mask_lambda=factor, mask_generator=BLOCKS)
        logs.append(host.train_step(make_batch(), wrapper))
    assert logs[1]['masked.decode.loss_seg'] == 0.5 * logs[0]['masked.decode.loss_seg']
    assert logs[1]['masked.decode.acc_seg'] == logs[0]['masked.decode.acc_seg']


@pytest.mark.parametrize('aux_bn', ['update', 'frozen'])
def test_masked_images_move_running_statistics_unless_they_are_frozen(aux_bn):
    hosts = [make_host(), masked(mask_aux_bn=aux_bn)]
    for host, wrapper in hosts:
        host.train_step(make_batch(), wrapper)
    plain, mine = (host.model.state_dict() for host, _ in hosts)
    running = [name for name in plain if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))]
    assert running
    for name in running:
        assert torch.equal(plain[name], mine[name]) == (aux_bn == 'frozen'), name


def test_a_private_teacher_follows_with_its_own_decay_and_is_saved():
    host, wrapper = masked(mask_alpha=0)
    assert any(name.startswith('mic.teacher.ema_model.') for name in host.state_dict())
    for _ in range(2):
        student = [p.detach().clone() for p in host.model.parameters()]
        host.train_step(make_batch(), wrapper)
        for old, mine in zip(student, host.mic.teacher.ema_model.parameters()):
            assert torch.equal(old, mine)
    assert not any(p.requires_grad for p in host.mic.teacher.parameters())
    host.train()
    assert not any(m.training for m in host.mic.teacher.modules() if isinstance(m, torch.nn.Dropout2d))


def test_threshold_none_of_a_private_teacher_trusts_all_pixels():
    host, wrapper = masked(mask_pseudo_threshold=None)
    _, view = seen(host, wrapper)
    assert (view.weight == 1).all()


def test_source_only_masks_the_source_without_any_teacher():
    host, wrapper = masked('separatetrg', source_only=True)
    step, view = seen(host, wrapper)
    assert torch.equal(view.label, step.source.label)
    assert set(host.networks()) == {'student'}
    assert wrapper.backwards == 2


@pytest.mark.parametrize('uda,message', [
    (dict(mask_mode='seperate'), "did you mean 'separate'"),
    (dict(mask_mode='separate', mask_lambda=1), 'mask_generator must be'),
    (dict(mask_mode='separate', mask_generator=BLOCKS), 'mask_lambda=0 takes away'),
    (dict(MIC, mask_alpha='smae'), "mask_alpha='smae'.*'same'"),
    (dict(MIC, mask_alpha=1.5), 'mask_alpha=1.5'),
    (dict(MIC, mask_alpha=None), 'mask_alpha=None'),
    (dict(MIC, mask_pseudo_threshold=-1), 'mask_pseudo_threshold=-1'),
    (dict(MIC, mask_generator=dict(BLOCKS, type='grid')), 'mask_generator'),
    (dict(MIC, mask_generator=dict(BLOCKS, mask_ratio=1.5)), 'mask_ratio 1.5'),
])
def test_mistakes_are_named(uda, message):
    with pytest.raises(ValueError, match=message):
        make_host(**uda)
