"""MinEnt as users rely on it: the entropy, its names in the log, its factors, what it does to the student."""
from __future__ import annotations

import pytest
import torch

from mmseg.models.uda import entropy_minimisation
from mmseg.models.uda.entropy_minimisation import normalised_entropy
from tests.models import nets

from .base_objective import MIC, ObjectiveTests
from .conftest import make_batch, make_host, model_config

AUX = dict(type='FCNHead', in_channels=160, in_index=2, channels=8, num_convs=1, num_classes=5)


class TestMinEnt(ObjectiveTests):
    """Factor 0 is not absence: the running statistics of batch norms see the target."""
    host, absent = dict(type='MinEnt'), dict(source_only=True)
    uda = dict(lambda_ent=dict(main=1.))
    others = (MIC, )
    trained = {'ent.loss.main'}


def test_entropy_is_one_for_equal_and_zero_for_certain_classes(device):
    for classes in (2, 19):
        equal = torch.full((2, classes, 3, 4), 1 / classes, device=device)
        torch.testing.assert_close(normalised_entropy(equal).item(), 1.)
        certain = torch.zeros_like(equal)
        certain[:, 1] = 1
        assert normalised_entropy(certain).item() == 0
    half = torch.cat([equal, certain], dim=2)
    torch.testing.assert_close(normalised_entropy(half).item(), 0.5)


def test_entropy_has_finite_gradients_for_certain_classes(device):
    logits = (torch.eye(5, device=device) * 300).view(1, 5, 1, 5).requires_grad_()
    normalised_entropy(logits.softmax(dim=1)).backward()
    assert torch.isfinite(logits.grad).all()


def test_two_backwards_and_the_published_log_names(device):
    host, wrapper = make_host(device, type='MinEnt')
    log = host.train_step(make_batch(), wrapper)
    assert set(log) == {'decode.loss_seg', 'decode.acc_seg', 'ent.loss.main'}
    assert wrapper.backwards == 2
    assert all(name.startswith('model.') for name in host.state_dict())
    assert set(host.networks()) == {'student'}


def test_factors_scale_the_entropy_of_each_output():
    model = dict(model_config(), auxiliary_head=AUX)
    logs = []
    for factors in (dict(main=1., aux=1.), dict(main=0.5, aux=0.25)):
        host, wrapper = make_host(type='MinEnt', model=model, lambda_ent=factors)
        logs.append(host.train_step(make_batch(), wrapper))
    assert 0 < logs[0]['ent.loss.main'] <= 1
    assert logs[1]['ent.loss.main'] == 0.5 * logs[0]['ent.loss.main']
    assert logs[1]['ent.loss.aux'] == 0.25 * logs[0]['ent.loss.aux']


def test_the_student_becomes_sure_on_the_target():
    entropies = []
    for factor in (1e-3, 10.):
        host, wrapper = make_host(type='MinEnt', lambda_ent=dict(main=factor))
        with torch.no_grad():
            host.model.decode_head.conv_seg.weight *= 50  # where all classes are alike entropy has no gradient
        for _ in range(8):
            log = host.train_step(make_batch(), wrapper)
        entropies.append(log['ent.loss.main'] / factor)
    assert entropies[1] < 0.7 * entropies[0]


def test_hrda_counts_its_fused_prediction(device):
    host, wrapper = make_host(device, type='MinEnt', model=nets.hrda_config())
    log = host.train_step(make_batch(size=(128, 128)), wrapper)
    assert {'decode.loss_seg', 'decode.hr.loss_seg', 'ent.loss.main'} <= log.keys()
    assert [name for name in log if name.startswith('ent.')] == ['ent.loss.main']


def test_hrda_takes_the_entropy_at_the_size_of_the_context(monkeypatch):
    sizes = []
    monkeypatch.setattr(entropy_minimisation, 'normalised_entropy',
                        lambda p: sizes.append(tuple(p.shape[-2:])) or normalised_entropy(p))
    for model in (nets.hrda_config(), model_config()):
        host, wrapper = make_host(type='MinEnt', model=model)
        host.train_step(make_batch(size=(128, 128)), wrapper)
    assert sizes == [(64, 64), (128, 128)]


@pytest.mark.parametrize('options, message', [
    (dict(lambda_ent=dict(mian=0.001)), "no factor for the output 'main'"),
    (dict(model=dict(model_config(), auxiliary_head=AUX), lambda_ent=dict(main=0.001)), "no factor .* 'aux'"),
])
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_host(type='MinEnt', **options)
