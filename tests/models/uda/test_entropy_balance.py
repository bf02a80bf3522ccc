"""Entropy balancing: what its entropy, its loss and its gradients must satisfy, and its place in the step."""
from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from mmseg.models.uda.entropy_balance import EntropyBalance, entropy, region_mean
from mmseg.models.uda.step_state import View

from .base_objective import ObjectiveTests
from .conftest import make_batch, make_host

CLASSES = 19


class TestEntropyBalance(ObjectiveTests):
    uda = dict(entropy_balance={})
    off = dict(entropy_balance=dict(weight=0))
    trained, logged = {'mix.loss_eb'}, {'mix.entropy'}


def logits(scale=3., classes=CLASSES, seed=0):
    return scale * torch.randn(2, classes, 6, 8, generator=torch.Generator().manual_seed(seed))


def loss_and_gradient(x, target=0.4, weight=0.1):
    x = x.clone().requires_grad_()
    loss = weight * region_mean((entropy(x) - target)**2, None)
    loss.backward()
    return loss.detach(), x.grad


@pytest.mark.parametrize('classes', [2, 11, 19])
@pytest.mark.parametrize('scale', [0., 1., 8., 200.])
def test_entropy_lies_between_zero_and_that_of_the_uniform_distribution(classes, scale):
    values = entropy(logits(scale, classes))
    assert values.min() >= 0
    assert values.max() <= math.log(classes) * (1 + 1e-6)


def test_uniform_logits_have_the_highest_loss_and_no_gradient():
    loss, gradient = loss_and_gradient(torch.full((2, CLASSES, 4, 4), 7.))
    assert loss.item() == pytest.approx(0.1 * (math.log(CLASSES) - 0.4)**2, rel=1e-5)
    assert gradient.abs().max() == 0


def test_saturated_pixels_have_no_entropy_and_a_vanishing_gradient():
    x = torch.zeros(1, CLASSES, 2, 2)
    x[:, 3] = 50
    loss, gradient = loss_and_gradient(x)
    assert loss.item() == pytest.approx(0.1 * 0.4**2)
    assert gradient.isfinite().all() and gradient.abs().max() < 1e-15


@pytest.mark.parametrize('scale', [0.5, 3., 8.])
def test_the_gradient_is_that_of_the_sum_differentiated_term_by_term(scale):
    x = logits(scale)
    _, gradient = loss_and_gradient(x)
    exact = x.double().requires_grad_()
    log_p = exact.log_softmax(dim=1)
    (0.1 * ((-(log_p.exp() * log_p).sum(dim=1) - 0.4)**2).mean()).backward()
    torch.testing.assert_close(gradient.double(), exact.grad, rtol=1e-4, atol=1e-6 * exact.grad.abs().max().item())
    assert gradient.sum(dim=1).abs().max() < 1e-6 * gradient.abs().max()


def test_constants_and_the_order_of_classes_and_pixels_do_not_matter():
    x = logits()
    shuffled = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(entropy(x + 5), entropy(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(entropy(x[:, shuffled]), entropy(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss_and_gradient(x.flip(2, 3))[0], loss_and_gradient(x)[0])


@pytest.mark.parametrize('target,rises', [(2.5, True), (0.1, False)])
def test_a_gradient_step_moves_the_entropy_towards_the_target(target, rises):
    x = logits(scale=2.)
    _, gradient = loss_and_gradient(x, target)
    difference = (entropy(x - 10 * gradient) - entropy(x)).mean()
    assert (difference > 0) == rises


def test_pixels_outside_of_the_region_contribute_nothing():
    x, region = logits().requires_grad_(), torch.zeros(2, 6, 8)
    region[0, :3] = 1
    loss = region_mean((entropy(x) - 0.4)**2, region)
    loss.backward()
    assert loss.item() == pytest.approx(((entropy(x.detach()[:1, :, :3]) - 0.4)**2).mean().item(), rel=1e-6)
    assert (x.grad[1] == 0).all() and (x.grad[0, :, 3:] == 0).all() and (x.grad[0, :, :3] != 0).any()


def test_an_empty_region_gives_zero():
    x = logits().requires_grad_()
    loss = region_mean((entropy(x) - 0.4)**2, torch.zeros(2, 6, 8))
    loss.backward()
    assert loss.item() == 0
    assert (x.grad == 0).all()


def test_regions():
    pasted = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    pasted[..., :2] = True  # left half from the source
    valid = torch.ones(1, 4, 4)
    valid[:, 0] = 0  # a margin of one row
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    label[:, :, 0] = 255  # unlabelled source
    step = SimpleNamespace(mix_mask=pasted, pseudo=SimpleNamespace(valid=valid))
    masks = {region: EntropyBalance(5, region=region).mask(step, View(label, label), (4, 4))
             for region in ('all', 'valid', 'target')}
    assert masks['all'] is None
    assert masks['valid'][0].tolist() == [[0, 1, 0, 0]] + [[0, 1, 1, 1]] * 3
    assert masks['target'][0].tolist() == [[0, 0, 0, 0]] + [[0, 0, 1, 1]] * 3
    small = EntropyBalance(5, region='target').mask(step, View(label, label), (2, 2))
    assert small.shape == (1, 2, 2)


def test_the_targets_in_nats_and_as_a_share():
    assert EntropyBalance(19).target == 0.4
    assert EntropyBalance(5, target=0.2).target == 0.2
    assert EntropyBalance(5, target_normalised=0.5).target == pytest.approx(math.log(5) / 2)


@pytest.mark.parametrize('options,message', [
    (dict(wieght=1), "did you mean 'weight'"),
    (0.1, 'must be a dict'),
    (dict(target=0.4, target_normalised=0.1), 'keep one'),
    (dict(target=9), 'impossible'),
    (dict(region='targte'), "did you mean 'target'"),
    (dict(resolution='full'), 'known are'),
    (dict(num_classes=3), 'no entry'),
])
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make_host(entropy_balance=options)


@pytest.mark.parametrize('options', [{}, dict(region='valid'), dict(region='target', resolution='logit')])
def test_it_joins_the_mix_branch_without_another_pass(device, options):
    host, wrapper = make_host(device, entropy_balance=options, pseudo_weight_ignore_top=5)
    log = host.train_step(make_batch(), wrapper)
    assert wrapper.backwards == 2
    assert {'mix.loss_eb', 'mix.entropy', 'pseudo_weight'} <= set(log)
    assert 0 <= log['mix.entropy'] <= math.log(5) + 1e-5
    assert log['mix.loss_eb'] > 0


def test_the_loss_is_that_of_a_separate_forward_without_dropout():
    host, wrapper = make_host(entropy_balance={})
    for module in host.model.modules():
        if 'Drop' in type(module).__name__:
            module.eval()
    before = {name: value.clone() for name, value in host.state_dict().items()}
    host.capture = True
    log = host.train_step(make_batch(), wrapper)
    mixed = next(panel.tensor for panel in host.captured if panel.title == 'Mixed')
    host.load_state_dict(before)
    with torch.no_grad():
        again = 0.1 * ((entropy(host.model.encode_decode(mixed)) - 0.4)**2).mean()
    assert log['mix.loss_eb'].item() == pytest.approx(again.item(), rel=1e-5)


def inputs_and_statistics(norm):
    """Lists that get what a batch norm sees and its running means, forward by forward."""
    inputs, means = [], []

    def look(module, args, _):
        inputs.append(args[0].detach())
        means.append(module.running_mean.clone())

    norm.register_forward_hook(look)
    return inputs, means


@pytest.mark.parametrize('region', ['all', 'target'])
def test_a_second_forward_moves_running_statistics_twice_with_the_same_images(region):
    statistics, logs = {}, {}
    for second in (False, True):
        host, wrapper = make_host(entropy_balance=dict(second_forward=second, region=region))
        for module in host.model.modules():
            if 'Drop' in type(module).__name__:
                module.p = module.drop_prob = 0.
        norm = host.model.decode_head.fuse_layer.bn
        inputs, statistics[second] = inputs_and_statistics(norm)
        logs[second] = host.train_step(make_batch(), wrapper)
        assert wrapper.backwards == len(inputs) == norm.num_batches_tracked == (3 if second else 2)
    source, mixed, again = statistics[True]
    assert torch.equal(mixed, statistics[False][1]) and torch.equal(inputs[1], inputs[2])
    torch.testing.assert_close(again - mixed, (mixed - source) * 0.9)  # the same batch, momentum 0.1
    for name, value in logs[False].items():
        torch.testing.assert_close(logs[True][name], value)
