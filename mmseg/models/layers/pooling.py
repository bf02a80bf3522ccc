"""Context from average pooling: the image pool of ASPP, the pyramid of PSPNet (Zhao et al., 2017, section 3.2)."""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.models.layers.conv_module import ConvModule
from mmseg.models.layers.resize import resize


class BinPool(nn.Module):
    """Average over ``bins`` x ``bins`` cells, which overlap by one pixel where the size is no multiple.

    The result of ``nn.AdaptiveAvgPool2d``, whose backward pass is not deterministic on CUDA and which ONNX lacks.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C, bins, bins]."""
        for dim in (2, 3):
            size = x.shape[dim]
            limits = [(i * size // self.bins, -(-(i + 1) * size // self.bins)) for i in range(self.bins)]
            x = torch.cat([x.narrow(dim, start, end - start).mean(dim, keepdim=True) for start, end in limits], dim)
        return x


class PooledConv(ConvModule):
    """ConvModule that also trains on one value per channel (one image, one cell), where a batch has no variance.

    Batch norm takes its running statistics then, and leaves them as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h, w]."""
        norm = self.norm
        if not (self.training and isinstance(norm, _BatchNorm) and x.shape[0] * x.shape[2] * x.shape[3] == 1):
            return super().forward(x)
        x = F.batch_norm(self.conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return self.activate(x) if self.with_activation else x


class PoolingBranch(nn.Sequential):
    """Pool to a few cells, convolve 1x1, resize back.

    Args:
        bins: cells per side.
        in_channels, channels: input and output channels.
        align_corners: for resizing.
        conv: ``norm_cfg``, ``act_cfg`` ... of the convolution.
    """

    def __init__(self, bins: int, in_channels: int, channels: int, *, align_corners: bool, **conv: Any) -> None:
        super().__init__(BinPool(bins), PooledConv(in_channels, channels, 1, **conv))
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, channels, h, w]."""
        return resize(super().forward(x), x.shape[-2:], align_corners=self.align_corners)


class PyramidPooling(nn.ModuleList):
    """A pyramid of pooled maps beside the map itself.

    Args:
        pool_scales: cells per side of each pooled map.
        in_channels: channels of the map.
        channels: of each pooled map.
        options: of :class:`PoolingBranch`.
    """

    def __init__(self, pool_scales: tuple[int, ...], in_channels: int, channels: int, **options: Any) -> None:
        super().__init__(PoolingBranch(bins, in_channels, channels, **options) for bins in pool_scales)
        self.out_channels = in_channels + len(pool_scales) * channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h, w]."""
        return torch.cat([x, *(branch(x) for branch in self)], dim=1)
