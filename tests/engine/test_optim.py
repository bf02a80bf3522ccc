"""Parameter rules, groups, the optimizer and its wrapper."""
from __future__ import annotations

import pytest
import torch
from mmengine import Config
from torch import nn

from mmseg.engine.optim import build_optim_wrapper, build_optimizer, parameter_groups, parameter_rule
from mmseg.models import build_segmentor
from tests.engine.tiny import tiny_config

ADAMW = dict(type='AdamW', lr=1e-3, weight_decay=0.1)
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


def rules(**custom_keys: dict) -> dict:
    return dict(ADAMW, paramwise_cfg=dict(custom_keys=custom_keys))


def test_the_longest_matching_key_decides_alone() -> None:
    cfg = rules(head=dict(lr_mult=10.), norm=dict(decay_mult=0.), decode_head=dict(lr_mult=3.))
    assert parameter_rule('model.decode_head.norm.weight', cfg) == pytest.approx((3e-3, 0.1))
    assert parameter_rule('model.head.norm.weight', cfg) == pytest.approx((1e-2, 0.1))  # tie: alphabetical
    assert parameter_rule('model.backbone.norm1.weight', cfg) == pytest.approx((1e-3, 0.))
    assert parameter_rule('model.backbone.proj.weight', cfg) == pytest.approx((1e-3, 0.1))


def test_other_parameter_rules_are_refused() -> None:
    with pytest.raises(ValueError, match='norm_decay_mult'):
        parameter_rule('x', dict(ADAMW, paramwise_cfg=dict(norm_decay_mult=0.)))


def test_a_network_has_a_handful_of_groups_with_every_trainable_parameter_once(images, tmp_path) -> None:
    cfg = tiny_config(images, tmp_path / 'run')
    model = build_segmentor(cfg.model)
    model.backbone.patch_embed1.requires_grad_(False)
    groups = parameter_groups(model, cfg.optimizer)
    assert len(groups) == 3
    grouped = [id(p) for group in groups for p in group['params']]
    trainable = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trainable)
    for group in groups:
        for name in group['names']:
            assert parameter_rule(name, cfg.optimizer) == (group['initial_lr'], group['weight_decay'])


class OwnRate(nn.Linear):
    def optimizer_options(self) -> dict[str, float]:
        return dict(lr=0.5)


def test_a_module_may_ask_for_its_own_rate() -> None:
    model = nn.ModuleDict(dict(head=OwnRate(2, 2), body=nn.Linear(2, 2)))
    groups = parameter_groups(model, rules(head=dict(lr_mult=10.)))
    assert {group['names'][0]: (group['lr'], group['weight_decay']) for group in groups} == {
        'head.weight': (0.5, 0.1), 'body.weight': (1e-3, 0.1)}


@pytest.mark.parametrize('cfg, words', [
    (dict(type='AdamV', lr=1.), 'AdamW'),
    (dict(type='AdamW', lr=1., momentun=0.9), 'momentun'),
    (dict(type='SGD'), 'optimizer.lr'),
    (dict(type='lr_scheduler', lr=1.), 'torch.optim'),
])
def test_a_wrong_optimizer_is_refused_by_name(cfg: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_optimizer(nn.Linear(2, 2), cfg)


def test_a_model_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match='trainable'):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False), ADAMW)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('kind', ['AdamW', 'SGD', 'NAdam'])
def test_one_step_equals_the_plain_optimizer(kind: str, device: str) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)).to(device)
    plain = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)).to(device)
    plain.load_state_dict(ours.state_dict())
    wrapper = build_optim_wrapper(ours, Config(dict(optimizer=dict(type=kind, lr=0.1, weight_decay=0.01))))
    reference = getattr(torch.optim, kind)(plain.parameters(), lr=0.1, weight_decay=0.01, foreach=False)
    x = torch.randn(8, 4, device=device)
    for _ in range(3):
        with wrapper.optim_context(ours):
            loss = ours(x).square().mean()
        wrapper.zero_grad()
        wrapper.backward(loss)
        wrapper.step()
        reference.zero_grad()
        plain(x).square().mean().backward()
        reference.step()
    for a, b in zip(ours.parameters(), plain.parameters()):
        torch.testing.assert_close(a, b)


def test_gradients_are_clipped_and_their_norm_is_logged_as_a_tensor() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 1.)
    cfg = Config(dict(optimizer=dict(type='SGD', lr=1.), optimizer_config=dict(grad_clip=dict(max_norm=0.5))))
    wrapper = build_optim_wrapper(model, cfg)
    wrapper.backward(model(torch.tensor([[3., 4.]])).sum())
    wrapper.step()
    assert isinstance(wrapper.log_vars['grad_norm'], torch.Tensor) and float(wrapper.log_vars['grad_norm']) == 5
    torch.testing.assert_close(model.weight, torch.tensor([[1 - 0.3, 1 - 0.4]]))


@pytest.mark.parametrize('device', DEVICES)
def test_bfloat16_is_on_inside_the_context_which_opens_repeatedly(device: str) -> None:
    model = nn.Linear(2, 2).to(device)
    wrapper = build_optim_wrapper(model, Config(dict(optimizer=ADAMW, amp=dict(dtype='bfloat16'))))
    x = torch.ones(1, 2, device=device)
    for _ in range(2):
        with wrapper.optim_context(model), wrapper.optim_context(model):
            assert model(x).dtype is torch.bfloat16
        assert model(x).dtype is torch.float32
    with build_optim_wrapper(model, Config(dict(optimizer=ADAMW))).optim_context(model):
        assert model(x).dtype is torch.float32


@pytest.mark.parametrize('change, words', [
    (dict(amp=dict(dtype='float16')), 'bfloat16'),
    (dict(fp16=dict(loss_scale=512.)), 'bfloat16'),
    (dict(optimizer_config=dict(type='Fp16OptimizerHook')), 'grad_clip'),
])
def test_what_the_step_cannot_do_is_refused_with_the_remedy(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_optim_wrapper(nn.Linear(2, 2), Config(dict(optimizer=ADAMW, **change)))


def test_what_an_optimizer_refuses_is_named() -> None:
    with pytest.raises(ValueError, match='optimizer: AdamW refuses its arguments .Invalid beta parameter at index 0'):
        build_optimizer(nn.Linear(2, 2), dict(type='AdamW', lr=1e-3, betas=(1, 0.999)))
