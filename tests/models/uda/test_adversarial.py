"""AdvSeg as users rely on it: who learns from what, the discriminators' losses, optimizers and learning rate."""
from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.engine.optim import build_optim_wrapper
from mmseg.models.uda import adversarial
from tests.models import nets

from .base_objective import MIC, ObjectiveTests
from .conftest import Recorder, make_batch, make_host, model_config

AUX = dict(type='FCNHead', in_channels=160, in_index=2, channels=8, num_convs=1, num_classes=5)
KINDS = ('LS', 'Vanilla')


class TestAdvSeg(ObjectiveTests):
    """Factor 0 is not absence: the running statistics of batch norms see the target."""
    host, absent = dict(type='AdvSeg'), dict(source_only=True)
    uda = dict(lambda_adv_target=dict(main=1.))
    others = (MIC, )
    trained = {'G_trg.loss.main', 'D_src.loss.main', 'D_trg.loss.main'}
    teaches = {'model.': {'G_trg.loss.main'}, 'model_D.': {'D_src.loss.main', 'D_trg.loss.main'}}

    @pytest.fixture(autouse=True)
    def narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adversarial, 'FCDiscriminator', partial(adversarial.FCDiscriminator, width=8))


def advseg(*, model=None, aux=None, **uda):
    """An AdvSeg host with its optimizer; ``aux`` is a config, or a list of them, of auxiliary heads."""
    return make_host(type='AdvSeg', model=model or dict(model_config(), auxiliary_head=aux), **uda)


def moved(host, wrapper, steps: int = 1) -> dict[str, torch.Tensor]:
    """By how much each parameter of the discriminators moves."""
    before = {name: p.detach().clone() for name, p in host.model_D.named_parameters()}
    for _ in range(steps):
        host.train_step(make_batch(), wrapper)
    return {name: p.detach() - before[name] for name, p in host.model_D.named_parameters()}


@pytest.mark.parametrize('kind', KINDS)
def test_logs_and_state_have_the_published_names(device, kind):
    host, wrapper = advseg(device=device, discriminator_type=kind)
    log = host.train_step(make_batch(), wrapper)
    assert set(log) == {'decode.loss_seg', 'decode.acc_seg', 'G_trg.loss.main', 'D_src.loss.main', 'D_trg.loss.main'}
    assert all(torch.isfinite(value) for value in log.values())
    layers = ('conv1', 'conv2', 'conv3', 'conv4', 'classifier')
    names = {name for name in host.state_dict() if not name.startswith('model.')}
    assert names == {f'model_D.main.{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')}
    widths = [host.state_dict()[f'model_D.main.{layer}.weight'].shape for layer in layers]
    assert widths == [(64, 5, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4)]
    assert set(host.networks()) == {'student'}


def test_each_auxiliary_head_has_a_discriminator_of_its_own(device):
    host, wrapper = advseg(device=device, aux=AUX)
    log = host.train_step(make_batch(), wrapper)
    assert {'aux.loss_seg', 'G_trg.loss.aux', 'D_src.loss.aux', 'D_trg.loss.aux'} <= log.keys()
    assert 'model_D.aux.conv1.weight' in host.state_dict()
    assert set(host.own_optimizers()) == {'main', 'aux'}
    several, wrapper = advseg(aux=[AUX, AUX], lambda_adv_target=dict(main=1., aux=0.))
    log = several.train_step(make_batch(), wrapper)
    assert log['G_trg.loss.main'] > 0
    assert log['G_trg.loss.aux_0'] == log['G_trg.loss.aux_1'] == 0


class Witness(Recorder):
    """Notes after each backward whose gradients have changed."""

    def __init__(self, host: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self.host, self.old, self.touched = host, {}, []

    def backward(self, loss: torch.Tensor, **kwargs) -> None:
        super().backward(loss, **kwargs)
        now = {name: p.grad.clone() for name, p in self.host.named_parameters() if p.grad is not None}
        changed = [name for name, grad in now.items() if not torch.equal(grad, self.old.get(name, grad * 0))]
        self.touched.append({name.partition('.')[0] for name in changed})
        self.old = now


@pytest.mark.parametrize('kind', KINDS)
def test_student_and_discriminators_learn_from_their_own_losses_alone(kind):
    host, _ = advseg(discriminator_type=kind, lambda_adv_target=dict(main=1.))
    wrapper = Witness(host, torch.optim.SGD(host.parameters(), lr=1e-3))
    host.train_step(make_batch(), wrapper)
    assert wrapper.touched == [{'model'}, {'model'}, {'model_D'}, {'model_D'}]
    assert all(p.requires_grad for p in host.parameters())


@pytest.mark.parametrize('kind', KINDS)
def test_losses_of_a_discriminator_that_always_gives_the_same_answer(kind):
    host, wrapper = advseg(discriminator_type=kind, lambda_adv_target=dict(main=0.5))
    answer = torch.tensor(0.7)
    for parameter in host.model_D.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(host.model_D.main.classifier.bias, answer.item())
    log = host.train_step(make_batch(), wrapper)
    if kind == 'LS':  # source is 0, target is 1
        source, target = answer**2, (answer - 1)**2
    else:
        source, target = F.softplus(answer), F.softplus(-answer)
    torch.testing.assert_close(log['G_trg.loss.main'], 0.5 * source)
    torch.testing.assert_close(log['D_src.loss.main'], source / 2)
    torch.testing.assert_close(log['D_trg.loss.main'], target / 2)


def test_discriminators_learn_to_tell_the_domains_apart():
    host, wrapper = advseg(lr_D=1e-3, lr=1e-6)
    logs = [host.train_step(make_batch(), wrapper) for _ in range(8)]
    first, last = (log['D_src.loss.main'] + log['D_trg.loss.main'] for log in (logs[0], logs[-1]))
    assert last < 0.6 * first


@pytest.mark.parametrize('iteration', [0, 40, 99])
def test_their_learning_rate_decays_polynomially(iteration):
    host, _ = advseg(lr_D=1e-3, lr_D_min=1e-4, lr_D_power=0.5)
    wrapper = Recorder(torch.optim.SGD(host.model.parameters(), lr=1e-3))
    host.start(3, 0, iteration)
    largest = max(change.abs().max() for change in moved(host, wrapper).values())
    rate = 1e-4 + 9e-4 * (1 - iteration / 100)**0.5  # what Adam moves a parameter by in its first step
    assert largest.item() == pytest.approx(rate, rel=1e-3)


def outer(host, **custom_keys):
    cfg = dict(optimizer=dict(type='SGD', lr=0.1, paramwise_cfg=dict(custom_keys=custom_keys)))
    return build_optim_wrapper(host, cfg)


def test_the_outer_optimizer_moves_them_too_as_published():
    host, _ = advseg(lr_D=0)
    changes = moved(host, outer(host))
    for name, parameter in host.model_D.named_parameters():
        torch.testing.assert_close(changes[name], -0.1 * parameter.grad, rtol=1e-3, atol=1e-7)
    assert changes['main.classifier.bias'] != 0


def test_a_rule_of_the_config_leaves_them_to_their_own_optimizer():
    host, _ = advseg(lr_D=0)
    assert all((change == 0).all() for change in moved(host, outer(host, model_D=dict(lr_mult=0.))).values())
    host, _ = advseg(lr_D=1e-3)
    assert all((change != 0).any() for change in moved(host, outer(host, model_D=dict(lr_mult=0.))).values())


def test_factor_zero_trains_the_student_as_without_discriminators():
    hosts = [make_host(type='AdvSeg', lambda_adv_target=dict(main=0.)),
             make_host(type='MinEnt', lambda_ent=dict(main=0.))]
    for _ in range(2):
        logs = [host.train_step(make_batch(), wrapper) for host, wrapper in hosts]
        assert logs[0]['decode.loss_seg'] == logs[1]['decode.loss_seg']
    for (name, mine), theirs in zip(hosts[0][0].model.state_dict().items(), hosts[1][0].model.state_dict().values()):
        assert torch.equal(mine, theirs), name


def test_with_hrda_they_see_the_fused_prediction_at_the_size_of_the_context(device, monkeypatch):
    sizes = []
    judge = adversarial.FCDiscriminator.forward
    monkeypatch.setattr(adversarial.FCDiscriminator, 'forward',
                        lambda self, x: sizes.append(tuple(x.shape)) or judge(self, x))
    host, wrapper = advseg(device=device, model=nets.hrda_config())
    log = host.train_step(make_batch(size=(128, 192)), wrapper)
    assert sizes == [(2, 5, 64, 96)] * 3
    assert {'decode.hr.loss_seg', 'G_trg.loss.main'} <= log.keys()
    assert not any(name.startswith('G_trg.loss.') and name != 'G_trg.loss.main' for name in log)


@pytest.mark.parametrize('options, message', [
    (dict(discriminator_type='Vanila'), "did you mean 'Vanilla'"),
    (dict(lambda_adv_target=0.001), "no factor for the output 'main'"),
    (dict(aux=AUX, lambda_adv_target=dict(main=0.001)), "no factor for the output 'aux'"),
])
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        advseg(**options)


def test_crops_too_small_for_them_are_named():
    host, wrapper = advseg()
    with pytest.raises(ValueError, match='enlarge the crops'):
        host.train_step(make_batch(size=(30, 64)), wrapper)
