"""Branches are open: objectives open and join them by name, and nothing that does not fit stays silent."""
from __future__ import annotations

import weakref

import pytest
import torch

from mmseg.models.named_losses import Losses
from mmseg.models.uda import Objective
from mmseg.models.uda.step_state import View
from mmseg.registry import OBJECTIVES
from tests.models.uda.conftest import make_batch, make_host


def objective(cls_name: str, **attributes) -> type[Objective]:
    """A registered objective that its own key switches on."""
    key = cls_name.lower()

    class Made(Objective):
        name, keys = key, {key: None}

        @classmethod
        def from_config(cls, uda, host):
            return cls() if uda[key] else None

        def view(self, step):
            return View(step.target_img, step.pseudo.label, step.pseudo.weight)

    for name, value in attributes.items():
        setattr(Made, name, value)
    Made.__name__, Made.title = cls_name, f'{cls_name} (uda.{key})'
    return Made


@pytest.fixture
def register():
    """Registers objectives for the time of a test."""
    names = []

    def add(cls_name, **attributes):
        names.append(cls_name)
        OBJECTIVES.register_module(module=objective(cls_name, **attributes), name=cls_name)

    yield add
    for name in names:
        OBJECTIVES.module_dict.pop(name)


def test_two_openers_of_one_branch_are_named(register):
    register('Second', opens='target')
    with pytest.raises(ValueError, match=r"MaskedRepresentation \(uda.mrm\) and Second \(uda.second\) both open the "
                                         r"branch 'target'"):
        make_host(mrm=dict(dim=8, heads=1), second=True)
    register('Host', opens='mix')
    with pytest.raises(ValueError, match=r"the method itself and Host \(uda.host\) both open the branch 'mix'"):
        make_host(host=True)


def test_a_joiner_without_an_opener_says_who_would_open(register):
    register('Joiner', joins='masked')
    with pytest.raises(ValueError, match=r"Joiner \(uda.joiner\) joins the branch 'masked', but nothing opens it: "
                                         r'switch on MaskedConsistency \(uda.mask_mode\); there are source, mix'):
        make_host(joiner=True)
    with pytest.raises(ValueError, match="EntropyBalance .* needs a teacher, which uda.source_only=True leaves out"):
        make_host(source_only=True, entropy_balance=dict())


def test_a_joiner_of_an_objectives_own_branch_is_trained_there(register):
    seen = []
    register('Opener', opens='dark')
    register('Follower', joins='dark', losses=lambda self, step, view, features, decoded: seen.append(view) or Losses(
        trained={'dark.kl': decoded.logits.square().mean()}, logged={'dark.loss': torch.zeros(())}))
    host, wrapper = make_host(opener=True, follower=True)
    totals = []
    backward = wrapper.backward
    wrapper.backward = lambda loss: totals.append(loss.item()) or backward(loss)
    log = host.train_step(make_batch(), wrapper)
    assert list(host.branches) == ['source', 'mix', 'dark'] and len(seen) == 1
    assert totals[-1] == pytest.approx(float(log['dark.decode.loss_seg'] + log['dark.kl'])), 'whatever the names say'


def test_logits_as_large_as_the_image_are_gone_before_the_backward_pass(register):
    made, alive = [], []

    def losses(self, step, view, features, decoded):
        made.append(weakref.ref(step.student.upsampled(decoded)))
        return Losses()

    register('Looker', joins='mix', losses=losses)
    host, wrapper = make_host(looker=True)
    backward = wrapper.backward
    wrapper.backward = lambda loss: alive.extend(ref() is not None for ref in made) or backward(loss)
    host.train_step(make_batch(), wrapper)
    assert alive == [False]


def test_plain_dicts_are_refused_where_they_would_train_nothing(register):
    register('Old', joins='mix', losses=lambda self, *_: {'mix.kl': torch.zeros(())})
    host, wrapper = make_host(old=True)
    with pytest.raises(TypeError, match=r'a dict does not say which of its entries are trained: return Losses\('):
        host.train_step(make_batch(), wrapper)


def test_losses() -> None:
    one, two = torch.tensor(1., requires_grad=True), torch.tensor([2.])
    losses = Losses(trained=dict(a=one), logged=dict(b=two)) | Losses(dict(c=two)).prefixed('x.')
    assert list(losses) == ['a', 'b', 'x.c'] and list(losses.trained) == ['a', 'x.c'] and losses.total() == 3
    assert losses.scaled(2).total() == 6 and losses.scaled(2, ['a']).total() == 4 and losses.scaled(2)['b'] == 2
    assert not any(value.requires_grad for value in losses.detached().values())
    with pytest.raises(ValueError, match="two losses or logged values have the name 'a'"):
        losses | Losses(dict(a=two))
    with pytest.raises(ValueError, match=r"'d' of Losses has the shape \(2,\)"):
        Losses(dict(d=torch.zeros(2)))
    with pytest.raises(TypeError, match="'d' of Losses is a float"):
        Losses(logged=dict(d=1.))
    with pytest.raises(ValueError, match='nothing to train: b is only logged'):
        Losses(logged=dict(b=two)).total()
