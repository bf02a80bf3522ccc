"""Blocks of convolution, norm and activation, as published checkpoints and fixed seeds know them."""
from __future__ import annotations

import copy

import pytest
import torch

from mmseg.models.layers import ConvModule, DepthwiseSeparableConvModule
from mmseg.models.layers.factory import LAYER

SUMS = dict(ReLU=99.204430, LeakyReLU=98.236694, PReLU=75.133942, RReLU=77.139816, ReLU6=99.204430, ELU=44.813171,
            Sigmoid=108.558807, Tanh=2.070501, SiLU=56.569820, GELU=74.382904, HSigmoid=108.594727, HSwish=47.719357,
            Swish=56.569820)  # with mmcv 2.2.0


@pytest.mark.parametrize('name', SUMS)
def test_initialisation_and_output_with_each_activation(name):
    torch.manual_seed(0)
    block = ConvModule(4, 6, 3, act_cfg=dict(type=name)).eval()
    with torch.no_grad():
        assert float(block(torch.randn(1, 4, 8, 8)).sum()) == pytest.approx(SUMS[name], rel=1e-5)


@pytest.mark.parametrize('norm, entries', [
    (dict(type='BN'), ['bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var', 'bn.num_batches_tracked']),
    (dict(type='SyncBN'), ['bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var', 'bn.num_batches_tracked']),
    (dict(type='GN', num_groups=2), ['gn.weight', 'gn.bias']),
    (dict(type='IN'), []),
    (None, ['conv.bias']),
])
def test_names_in_state_dicts(norm, entries):
    assert list(ConvModule(4, 6, 3, norm_cfg=norm).state_dict()) == ['conv.weight', *entries]


def test_separable_convolution_has_a_block_for_each_part():
    torch.manual_seed(0)
    block = DepthwiseSeparableConvModule(4, 6, 3, padding=1, norm_cfg=dict(type='BN'),
                                         dw_act_cfg=dict(type='LeakyReLU'))
    assert {name.rpartition('.')[0] for name in block.state_dict()} == {
        f'{part}_conv.{layer}' for part in ('depthwise', 'pointwise') for layer in ('conv', 'bn')}
    with torch.no_grad():
        assert float(block(torch.randn(1, 4, 8, 8)).sum()) == pytest.approx(146.492950, rel=1e-5)


def test_separable_convolution_keeps_no_map_between_its_parts_and_gives_what_they_give():
    torch.manual_seed(0)
    block = DepthwiseSeparableConvModule(4, 6, 3, padding=1, norm_cfg=dict(type='BN'))
    parts = copy.deepcopy(block)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    kept = {}

    def keep(saved):
        kept[saved.untyped_storage().data_ptr()] = saved  # alive, so that no address comes twice
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = block(x)
    assert sum(saved.shape == x.shape for saved in kept.values()) == 2  # the input, and what the first norm gets
    expected = parts.pointwise_conv(parts.depthwise_conv(x))
    assert torch.equal(out, expected)
    grad = torch.randn_like(out)
    mine, theirs = (torch.autograd.grad(result, [x, *net.parameters()], grad)
                    for result, net in ((out, block), (expected, parts)))
    assert all(map(torch.equal, mine, theirs))
    assert all(torch.equal(value, dict(parts.named_buffers())[name]) for name, value in block.named_buffers())


def test_a_norm_can_be_frozen():
    norm = ConvModule(4, 6, 3, norm_cfg=dict(type='BN', requires_grad=False)).norm
    assert not any(weight.requires_grad for weight in norm.parameters())


@pytest.mark.parametrize('key, value', [
    ('norm_cfg', dict(type='BN1d')), ('norm_cfg', dict(type='LN')), ('act_cfg', dict(type='Clamp')),
    ('conv_cfg', dict(type='ConvAWS')), ('conv_cfg', dict(type='Conv2d', stride=2)), ('with_spectral_norm', True)])
def test_what_does_not_exist_is_refused_by_its_name(key, value):
    problems = list(LAYER.problems({'type': 'conv', 'kernel_size': 1, key: value}, 'layer'))
    word = key if not isinstance(value, dict) else 'stride' if 'stride' in value else value['type']
    assert [problem.word for problem in problems] == [word]
