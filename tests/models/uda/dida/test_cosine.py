"""DIDA's equations: what its relation between pixels and rows must satisfy, its place in the step."""
from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from mmseg.checkpoint.networks import segmentor_state
from mmseg.engine.optim import parameter_groups
from mmseg.models.segmentors.results import Decoded, HeadOutput
from mmseg.models.uda.dida.cosine import EPS, InstanceBank
from mmseg.models.uda.dida.relation import calibrate, cosine_similarities, gather, relation_loss, scatter
from mmseg.models.uda.step_state import Items
from tests.models import nets
from tests.models.uda.conftest import make_batch, make_host

C, K, D = 5, 12, 8
LABEL = torch.arange(K) % C
MEMBER = torch.nn.functional.one_hot(LABEL, C).float()
READY = dict(size=2 * C, warmup=0)  # full after two iterations in which every class was seen


def maps(channels, seed, scale=1.):
    return scale * torch.randn(2, channels, 4, 6, generator=torch.Generator().manual_seed(seed))


def relation(seed=0):
    return maps(K, seed).softmax(dim=1)


def probabilities(seed=1):
    return maps(C, seed, 2.).softmax(dim=1)


def bank_rows(seed=2):
    return torch.randn(K, D, generator=torch.Generator().manual_seed(seed))


# equations


def test_gathering_keeps_the_mass_and_scattering_weighs_with_the_classes():
    q, p = relation(), probabilities()
    g = gather(q, MEMBER)
    torch.testing.assert_close(g.sum(dim=1), torch.ones(2, 4, 6))
    target, mass = calibrate(q, scatter(p, LABEL), EPS)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(2, 4, 6))
    torch.testing.assert_close(mass, (p * g).sum(dim=1))
    torch.testing.assert_close(gather(target, MEMBER), p * g / (p * g).sum(dim=1, keepdim=True))


def test_a_certain_class_leaves_its_own_rows_and_no_opinion_leaves_all():
    q = relation()
    certain = torch.zeros(2, C, 4, 6)
    certain[:, 3] = 1
    target, _ = calibrate(q, scatter(certain, LABEL), EPS)
    assert (target[:, LABEL != 3] == 0).all() and (target[:, LABEL == 3] > 0).all()
    target, _ = calibrate(q, scatter(torch.full((2, C, 4, 6), 1 / C), LABEL), EPS)
    torch.testing.assert_close(target, q)


def test_mass_on_classes_without_rows_gives_no_target_and_no_nan():
    certain = torch.zeros(2, C + 1, 4, 6)
    certain[:, C] = 1
    target, mass = calibrate(relation(), scatter(certain, LABEL), EPS)
    assert (mass == 0).all() and target.isfinite().all()


def test_the_loss_is_the_cross_entropy_and_not_below_the_entropy():
    target, _ = calibrate(relation(), scatter(probabilities(), LABEL), EPS)
    scores, region = maps(K, 5, 3.), torch.ones(2, 4, 6)
    loss = relation_loss(scores, target, region)
    plain = -(target * scores.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=1e-6)
    entropy = -(target * target.log()).sum(dim=1).mean()
    assert loss > entropy > 0
    torch.testing.assert_close(relation_loss(target.log(), target, region), entropy)


def test_the_gradient_is_the_difference_of_the_two_relations_inside_the_region():
    target, _ = calibrate(relation(), scatter(probabilities(), LABEL), EPS)
    scores, region = maps(K, 5, 3.).requires_grad_(), torch.ones(2, 4, 6)
    region[0, :2] = 0
    relation_loss(scores, target, region).backward()
    expected = (scores.detach().softmax(dim=1) - target) * region.unsqueeze(1) / region.sum()
    torch.testing.assert_close(scores.grad, expected, rtol=1e-5, atol=1e-7)
    assert (scores.grad[0, :, :2] == 0).all()


def test_an_empty_region_gives_zero():
    assert relation_loss(maps(K, 5), relation(), torch.zeros(2, 4, 6)) == 0


def test_the_order_of_rows_and_the_length_of_embeddings_do_not_matter():
    embedding, rows = maps(D, 7), bank_rows()
    q = (cosine_similarities(embedding, rows) / 0.1).softmax(dim=1)
    torch.testing.assert_close((cosine_similarities(3.7 * embedding, 0.2 * rows) / 0.1).softmax(dim=1), q)
    order = torch.randperm(K, generator=torch.Generator().manual_seed(3))
    other = (cosine_similarities(embedding, rows[order]) / 0.1).softmax(dim=1)
    torch.testing.assert_close(gather(other, MEMBER[order]), gather(q, MEMBER))
    losses = []
    for relation_of, rows_of, label in ((q, rows, LABEL), (other, rows[order], LABEL[order])):
        target, _ = calibrate(relation_of, scatter(probabilities(), label), EPS)
        losses.append(relation_loss(cosine_similarities(maps(D, 8), rows_of) / 0.1, target, torch.ones(2, 4, 6)))
    torch.testing.assert_close(*losses)


# refinement


def decoded(embedding, logits, size=(16, 24)):
    return Decoded(HeadOutput(logits, embedding), size)


def fake_step(**attributes):
    return SimpleNamespace(items=Items(), draws=SimpleNamespace(iteration=0),
                           student=SimpleNamespace(align_corners=False), **attributes)


def objective(filled=True, **options):
    made = InstanceBank(num_classes=C, channels=D, alpha=0.9, **{**dict(size=K, warmup=0), **options})
    if filled:
        made.bank.feature.copy_(bank_rows())
        made.bank.filled.fill_(True)
    return made


def refine(instance_bank):
    p = torch.randn(2, C, 16, 24, generator=torch.Generator().manual_seed(9)).softmax(dim=1)
    return p, instance_bank.refine(fake_step(), p, decoded(maps(D, 7), maps(C, 1)))


def test_refined_labels_are_a_convex_mixture():
    made = objective(smoothing=0.7)
    p, refined = refine(made)
    torch.testing.assert_close(refined.sum(dim=1), torch.ones(2, 16, 24))
    q = (cosine_similarities(maps(D, 7), made.bank.feature) / 0.1).softmax(dim=1)
    g = torch.nn.functional.interpolate(gather(q, made.bank.membership), (16, 24), mode='bilinear')
    torch.testing.assert_close(refined, 0.7 * p + 0.3 * g)
    assert not torch.equal(refined, p)


@pytest.mark.parametrize('options', [dict(smoothing=1), dict(warmup=1), dict(filled=False)])
def test_without_smoothing_in_the_warm_up_and_with_an_incomplete_bank_labels_stay_bit_equal(options):
    p, refined = refine(objective(**options))
    assert torch.equal(p, refined)


def test_refinement_does_not_write_to_what_it_gets():
    p = probabilities()
    before = p.clone()
    objective(smoothing=0.5).refine(fake_step(), p, decoded(maps(D, 7), maps(C, 1), (4, 6)))
    assert torch.equal(p, before)


# region


def test_cells_with_a_pasted_or_invalid_pixel_do_not_count():
    pasted = torch.zeros(1, 1, 8, 12, dtype=torch.bool)
    pasted[..., 5, 2] = True
    valid = torch.ones(1, 8, 12)
    valid[:, 0] = 0
    step = SimpleNamespace(mix_mask=pasted, pseudo=SimpleNamespace(valid=valid))
    assert objective().cells(step, (2, 3))[0].tolist() == [[0, 0, 0], [0, 1, 1]]
    assert objective(region='all').cells(step, (2, 3)).tolist() == [[[1, 1, 1], [1, 1, 1]]]


def test_pasted_cells_get_no_gradient():
    made = objective()
    pasted = torch.zeros(2, 1, 16, 24, dtype=torch.bool)
    pasted[..., :12] = True
    step = fake_step(mix_mask=pasted, pseudo=SimpleNamespace(valid=torch.ones(2, 16, 24)))
    teacher = maps(D, 7).requires_grad_()
    with torch.no_grad():
        made.refine(step, probabilities(), decoded(teacher, maps(C, 1), (4, 6)))
    student = maps(D, 8).requires_grad_()
    made.losses(step, None, None, decoded(student, None))['instance.loss_in'].backward()
    assert (student.grad[..., :3] == 0).all() and (student.grad[..., 3:] != 0).any()
    assert teacher.grad is None and made.bank.feature.grad is None


def test_cells_whose_mass_is_on_classes_without_rows_do_not_count():
    made = objective()
    made.bank.label[made.bank.label == 3] = 0  # class 3 has no rows, as those that Synthia lacks
    step = fake_step(mix_mask=torch.zeros(2, 1, 16, 24, dtype=torch.bool),
                     pseudo=SimpleNamespace(valid=torch.ones(2, 16, 24)))
    logits = maps(C, 1)
    logits[:, 3, 1:] = 100  # all but the first row of cells
    made.refine(step, probabilities(), decoded(maps(D, 7), logits, (4, 6)))
    student = maps(D, 8).requires_grad_()
    loss = made.losses(step, None, None, decoded(student, None))['instance.loss_in']
    loss.backward()
    assert loss.isfinite() and (student.grad[:, :, 1:] == 0).all() and (student.grad[:, :, 0] != 0).any()


def test_smoothing_below_the_threshold_is_warned_of():
    with pytest.warns(UserWarning, match='only if the bank gives its class 0.68. If pseudo_weight vanishes'):
        make_host(pseudo_threshold=0.968, instance_bank=dict(READY, smoothing=0.9))


# the training step


def run(host, wrapper, steps=4, **batch):
    return [{k: v.item() for k, v in host.train_step(make_batch(seed=i, **batch), wrapper).items()}
            for i in range(steps)]


def test_it_starts_when_the_bank_is_full(device):
    host, wrapper = make_host(device, instance_bank=dict(size=2 * C, warmup=2))
    logs = run(host, wrapper, 6)
    assert wrapper.backwards == 12
    assert [log['instance.bank_filled'] for log in logs[:4]] == [0, 0, 0.5, 1]
    assert [log['instance.loss_in'] > 0 for log in logs] == [False] * 3 + [True] * 3
    assert all(math.isfinite(value) for log in logs for value in log.values())


@pytest.mark.parametrize('options,batch', [
    (dict(size=3), dict(batch=1)), (dict(update='fifo', interval=1), dict(batch=3, size=(64, 96))),
    (dict(select='boundary'), dict(size=(90, 120))), (dict(select='boundary_mean', region='all'), {}),
    (dict(calibrate=False, smoothing=1), {}), (dict(classes=[3, 0, 1]), {}), (dict(size=7, projection=6), {})])
def test_options_batches_and_crops(device, options, batch):
    host, wrapper = make_host(device, instance_bank={**READY, **options})
    log = run(host, wrapper, **batch)[-1]
    assert all(math.isfinite(value) for value in log.values())
    assert log['instance.loss_in'] > 0


@pytest.mark.parametrize('num_classes', [2, 11])
def test_any_number_of_classes(num_classes):
    host, wrapper = make_host(num_classes=num_classes, instance_bank=dict(size=4, warmup=0, classes=[1, 0]))
    assert run(host, wrapper, num_classes=num_classes)[-1]['instance.loss_in'] > 0


def dlv2_config():
    """A small network with DeepLabV2's head, which has no embedding of its own."""
    return dict(type='EncoderDecoder', backbone=nets.backbone(), decode_head=dict(
        type='DLV2Head', in_channels=32, in_index=3, dilations=(1, 2), num_classes=C))


@pytest.mark.parametrize('model,dim', [(nets.hrda_config(hr_crop_size=(32, 32)), 16), (dlv2_config(), 32)])
@pytest.mark.parametrize('projection', [None, 6])
def test_hrda_and_deeplab(model, dim, projection):
    host, wrapper = make_host(model=model, instance_bank={**READY, 'projection': projection})
    assert host.instance_bank.bank.feature.shape == (2 * C, projection or dim)
    assert run(host, wrapper)[-1]['instance.loss_in'] > 0


def test_the_projection_learns_fast_and_its_copy_follows():
    host, wrapper = make_host(alpha=0.9, instance_bank={**READY, 'projection': 6})
    mine, copy = host.instance_bank.projection_head, host.instance_bank.ema_projection
    groups = parameter_groups(host, dict(lr=1., paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.)))))
    rates = {name: group['lr'] for group in groups for name in group['names'] if name.startswith('instance_bank')}
    assert set(rates.values()) == {10.} and len(rates) == len(list(mine.parameters()))
    start = [p.detach().clone() for p in mine.parameters()]
    run(host, wrapper, 4)
    for first, now, follower in zip(start, mine.parameters(), copy.parameters()):
        assert not torch.equal(first, now)
        assert not torch.equal(first, follower) and not torch.equal(now, follower)
        assert follower.grad is None


def test_the_bank_is_in_checkpoints_but_not_in_the_exported_network():
    host, wrapper = make_host(instance_bank=READY)
    run(host, wrapper, 3)
    state = host.state_dict()
    assert {'instance_bank.bank.feature', 'instance_bank.bank.label', 'instance_bank.bank.filled',
            'instance_bank.bank.pointer'} <= set(state)
    assert not any('bank' in name for name in segmentor_state(dict(state_dict=state)))
    other, other_wrapper = make_host(instance_bank=READY)
    other.load_state_dict(state)
    other_wrapper.load_state_dict(wrapper.state_dict())
    other.start(seed=3, rank=0, iteration=3)
    first, second = ({k: v.item() for k, v in h.train_step(make_batch(seed=3), w).items()}
                     for h, w in ((host, wrapper), (other, other_wrapper)))
    assert first == second
    assert torch.equal(host.instance_bank.bank.feature, other.instance_bank.bank.feature)


def test_weight_zero_without_smoothing_trains_as_if_it_were_absent():
    gradients = []
    for options in (None, {**READY, 'weight': 0., 'smoothing': 1}):
        host, wrapper = make_host(instance_bank=options)
        run(host, wrapper, 3)
        gradients.append([p.grad for p in host.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_it_stays_in_fp32_where_it_matters_under_autocast(device):
    host, wrapper = make_host(device, instance_bank={**READY, 'projection': 6})
    wrapper.optim_context = lambda model: torch.autocast(torch.device(device).type, torch.bfloat16)
    for i in range(4):
        log = host.train_step(make_batch(seed=i), wrapper)
    assert log['instance.loss_in'].dtype == torch.float32 and log['instance.loss_in'].isfinite()
    assert host.instance_bank.bank.feature.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('options', [READY, {**READY, 'select': 'boundary', 'update': 'fifo'}])
def test_the_step_never_waits_for_the_device(options):
    host, wrapper = make_host('cuda', instance_bank=options, entropy_balance=dict(region='valid'))
    run(host, wrapper, 3)
    batch = {k: v.pin_memory() if isinstance(v, torch.Tensor) else v for k, v in make_batch().items()}
    torch.cuda.set_sync_debug_mode('error')
    try:
        host.train_step(batch, wrapper)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('options,message', [
    (dict(preset='paper'), 'known are cosine, dida, dida_code'),
    (dict(bank='no/folder'), 'there is no no/folder/f_buffer_s.npz'),
    (dict(tau_tacher=1), "did you mean 'tau_teacher'"),
    ('dida', 'must be a dict'),
    (dict(classes=[0, 0]), 'different ids'),
    (dict(classes=[7]), 'from 0 to 4'),
    (dict(update='fivo'), "did you mean 'fifo'"),
    (dict(smoothing=1.5), r'smoothing=1.5 must lie in \[0, 1\]'),
    (dict(interval=0), 'at least 1'),
    (dict(tau_student=0), 'positive'),
    (dict(alpha=0.9), 'no entry'),
])
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        make_host(instance_bank=options)
