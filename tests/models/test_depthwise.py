"""The short cut for dilated depthwise convolutions gives what torch's convolution gives."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmseg.models.layers import DepthwiseConv2d


@pytest.mark.parametrize('dilation', [6, 18])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_same_output_and_gradients_as_torch(dilation, bias, layout):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(70, 70, 3, padding=dilation, dilation=dilation, groups=70, bias=bias)
    x = torch.randn(2, 70, 13, 20).contiguous(memory_format=layout).requires_grad_()
    out = conv(x)
    expected = F.conv2d(x, conv.weight, conv.bias, padding=dilation, dilation=dilation, groups=70)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    grad = torch.randn_like(expected)
    for mine, torchs in zip(torch.autograd.grad(out, [x, *conv.parameters()], grad),
                            torch.autograd.grad(expected, [x, *conv.parameters()], grad)):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kwargs', [
    dict(kernel_size=1), dict(kernel_size=3, padding=1, groups=8), dict(kernel_size=3, padding=2, dilation=2),
    dict(kernel_size=3, padding=2, dilation=2, stride=2, groups=8), dict(kernel_size=3, padding=0, dilation=2, groups=8)
])
def test_every_other_convolution_is_torchs(kwargs):
    conv = DepthwiseConv2d(8, 8, **kwargs)
    x = torch.randn(1, 8, 9, 11)
    assert torch.equal(conv(x), torch.nn.Conv2d.forward(conv, x))


def test_autocast_works():
    conv = DepthwiseConv2d(8, 8, 3, padding=6, dilation=6, groups=8, bias=False)
    with torch.autocast('cpu', torch.bfloat16):
        assert conv(torch.randn(1, 8, 9, 11)).dtype == torch.bfloat16
