"""The short cuts for depthwise convolutions give what torch's convolutions give."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import nn

from mmseg.doctor.memory import LiveMemory
from mmseg.models.builder import build_head
from mmseg.models.layers import QuickConv2d, to_map
from mmseg.models.layers.wide_depthwise import WideDepthwiseConv2d, quicken


@pytest.mark.parametrize('dilation', [6, 18])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_same_output_and_gradients_as_torch(dilation, bias, layout):
    torch.manual_seed(0)
    conv = QuickConv2d(70, 70, 3, padding=dilation, dilation=dilation, groups=70, bias=bias)
    x = torch.randn(2, 70, 13, 20).contiguous(memory_format=layout).requires_grad_()
    out = conv(x)
    expected = F.conv2d(x, conv.weight, conv.bias, padding=dilation, dilation=dilation, groups=70)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    grad = torch.randn_like(expected)
    for mine, torchs in zip(torch.autograd.grad(out, [x, *conv.parameters()], grad),
                            torch.autograd.grad(expected, [x, *conv.parameters()], grad)):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-4)


def test_the_backward_pass_of_a_dilated_convolution_holds_two_maps_beside_its_own():
    """In DAFormer's decoder it is the peak of the training step."""
    conv = QuickConv2d(64, 64, 3, padding=6, dilation=6, groups=64, bias=False)
    x = torch.randn(1, 64, 36, 36).contiguous(memory_format=torch.channels_last).requires_grad_()
    out = conv(x)
    grad = torch.randn_like(out)
    with LiveMemory() as memory:
        torch.autograd.grad(out, [x, conv.weight], grad)
    assert memory.peak < 4.5 * x.nbytes  # x and the gradient that comes in are counted, too


@pytest.mark.parametrize('bias', [False, True])
def test_a_pointwise_convolution_of_parts_is_that_of_their_concatenation(bias):
    torch.manual_seed(0)
    conv = QuickConv2d(7 + 5 + 3, 6, 1, bias=bias)
    parts = [torch.randn(2, channels, height, width).contiguous(memory_format=torch.channels_last).requires_grad_()
             for channels, height, width in ((7, 8, 12), (5, 4, 6), (3, 3, 2))]
    out = conv.of_parts(parts)
    whole = torch.cat([F.interpolate(part, size=(8, 12), mode='bilinear') for part in parts], dim=1)
    expected = F.conv2d(whole, conv.weight, conv.bias)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    grad = torch.randn_like(expected)
    inputs = [*parts, *conv.parameters()]
    for mine, torchs in zip(torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad)):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kwargs', [
    dict(kernel_size=1), dict(kernel_size=3, padding=1, groups=8), dict(kernel_size=3, padding=2, dilation=2),
    dict(kernel_size=3, padding=2, dilation=2, stride=2, groups=8), dict(kernel_size=3, padding=0, dilation=2, groups=8)
])
def test_every_other_convolution_is_torchs(kwargs):
    conv = QuickConv2d(8, 8, **kwargs)
    x = torch.randn(1, 8, 9, 11)
    assert torch.equal(conv(x), torch.nn.Conv2d._conv_forward(conv, x, conv.weight, conv.bias))


def test_autocast_works():
    conv = QuickConv2d(8, 8, 3, padding=6, dilation=6, groups=8, bias=False)
    with torch.autocast('cpu', torch.bfloat16):
        assert conv(torch.randn(1, 8, 9, 11)).dtype == torch.bfloat16


@pytest.mark.parametrize('make', [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [(13, 20), (4, 4)])
def test_wide_kernels_give_torchs_output_and_gradients(make, layout, stride, size):
    torch.manual_seed(0)
    conv = make(70, 70, 5, stride=stride, padding=2 if make is nn.Conv2d else 0, groups=70, bias=False)
    wide = WideDepthwiseConv2d(conv)
    x = torch.randn(2, 70, *size).contiguous(memory_format=layout).requires_grad_()
    out, expected = wide(x), conv(x)
    assert torch.equal(out, expected)
    grad = torch.randn_like(expected)
    for mine, torchs in zip(torch.autograd.grad(out, [x, wide.weight], grad),
                            torch.autograd.grad(expected, [x, conv.weight], grad)):
        torch.testing.assert_close(mine, torchs, rtol=1e-5, atol=1e-5)


def test_a_network_keeps_keys_and_weights_and_only_its_wide_depthwise_convolutions_change():
    network = nn.Sequential(nn.Conv2d(8, 8, 5, groups=8, bias=False), nn.Conv2d(8, 8, 5, groups=8),
                            nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Conv2d(8, 8, 5, groups=2, bias=False),
                            nn.Conv2d(8, 8, (5, 3), groups=8, bias=False))
    before = dict(network.named_parameters())
    quicken(network)
    assert [isinstance(conv, WideDepthwiseConv2d) for conv in network] == [True, False, False, False, False]
    after = dict(network.named_parameters())
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)


def test_wide_kernels_in_autocast_and_frozen():
    wide = WideDepthwiseConv2d(nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False))
    x = torch.randn(1, 8, 9, 11, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        assert wide(x).dtype == torch.bfloat16
    wide.requires_grad_(False)
    assert torch.autograd.grad(wide(x).sum(), x)[0].shape == x.shape


def test_pointwise_convolutions_are_torchs_in_every_layout():
    torch.manual_seed(0)
    conv = QuickConv2d(70, 33, 1)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 70, 13, 20).contiguous(memory_format=layout).requires_grad_()
        out, expected = conv(x), F.conv2d(x, conv.weight, conv.bias)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
        grad = torch.randn_like(expected)
        for mine, torchs in zip(torch.autograd.grad(out, [x, *conv.parameters()], grad),
                                torch.autograd.grad(expected, [x, *conv.parameters()], grad)):
            torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-4)


def test_the_output_may_be_changed_in_place():
    """An activation without a norm in between does so."""
    conv = QuickConv2d(8, 8, 3, padding=6, dilation=6, groups=8)
    x = torch.randn(1, 8, 9, 11).contiguous(memory_format=torch.channels_last)
    grads = [torch.autograd.grad(out.sum(), conv.weight)[0] for out in (F.relu(conv(x), inplace=True), conv(x).relu())]
    assert torch.equal(*grads)


@pytest.mark.parametrize('batch', [1, 2])
def test_the_decoder_of_daformer_computes_in_one_layout(batch):
    """What a layer gives in another layout is copied back and forth, unnoticed: batches of one were."""
    head = build_head(dict(
        type='DAFormerHead', in_channels=[8, 8, 8, 8], in_index=[0, 1, 2, 3], channels=16, num_classes=3,
        norm_cfg=dict(type='BN'), decoder_params=dict(
            embed_dims=8, embed_cfg=dict(type='mlp'), embed_neck_cfg=dict(type='mlp'),
            fusion_cfg=dict(type='aspp', sep=True, dilations=(1, 6), pool=False, act_cfg=dict(type='ReLU'),
                            norm_cfg=dict(type='BN')))))
    layouts = {}
    for name, module in head.named_modules():
        module.register_forward_hook(lambda _, args, out, name=name: layouts.update({name: out}))
    head([to_map(torch.randn(batch, side**2, 8), (side, side)) for side in (16, 8, 4, 2)])
    maps = {name: out for name, out in layouts.items() if isinstance(out, torch.Tensor) and out.dim() == 4}
    assert len(maps) > 15
    assert [name for name, out in maps.items() if out.stride() != channels_last_stride(out)] == []


def channels_last_stride(x):
    return torch.empty(x.shape).contiguous(memory_format=torch.channels_last).stride()
