"""ResNeSt (Zhang et al., 2020): ResNetV1d whose 3x3 convolutions weigh several splits against each other."""
from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.backbones.resnet import Bottleneck, ResNetV1d
from mmseg.models.backbones.resnext import ResNeXt
from mmseg.models.layers.named import build_conv, build_norm
from mmseg.registry import BACKBONES
from mmseg.utils.kinds import COUNT, one_of


class SplitAttentionConv2d(nn.Module):
    """3x3 convolution to ``radix`` splits, summed with weights per channel (ResNeSt, section 3.1).

    Args:
        channels: of input and output.
        stride, dilation, groups: of the convolution.
        radix: number of splits.
        reduction_factor: the weights come from ``channels * radix // reduction_factor`` channels, at least 32.
        conv_cfg, norm_cfg: kinds of convolution and norm.
    """

    def __init__(self, channels: int, stride: int, dilation: int, groups: int, radix: int, reduction_factor: int,
                 conv_cfg: dict[str, Any] | None, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups
        inner = max(channels * radix // reduction_factor, 32)
        self.conv = build_conv(conv_cfg, channels, channels * radix, 3, stride=stride, padding=dilation,
                                     dilation=dilation, groups=groups * radix, bias=False)
        self.norm0_name, norm0 = build_norm(norm_cfg, channels * radix, postfix=0)
        self.add_module(self.norm0_name, norm0)
        self.fc1 = nn.Conv2d(channels, inner, 1, groups=groups)
        self.norm1_name, norm1 = build_norm(norm_cfg, inner, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.fc2 = nn.Conv2d(inner, channels * radix, 1, groups=groups)
        self.relu = nn.ReLU(inplace=True)

    def _weights(self, pooled: Tensor) -> Tensor:
        """Weights [B, radix, C, 1, 1] of the splits from the pooled map [B, C, 1, 1]."""
        norm = getattr(self, self.norm1_name)
        if norm.training and len(pooled) == 1:
            raise ValueError('ResNeSt trains batch norms on pooled maps, which needs at least two images per batch: '
                             'set data.samples_per_gpu to 2 or more, or norm_eval=True in the backbone')
        scores = self.fc2(self.relu(norm(self.fc1(pooled))))
        if self.radix == 1:
            return scores.sigmoid()[:, None]
        scores = scores.view(len(scores), self.groups, self.radix, -1).transpose(1, 2)
        return scores.softmax(dim=1).reshape(len(scores), self.radix, -1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, h, w]."""
        x = self.relu(getattr(self, self.norm0_name)(self.conv(x)))
        splits = x.unflatten(1, (self.radix, -1))
        weights = self._weights(F.adaptive_avg_pool2d(splits.sum(dim=1), 1))
        return (weights * splits).sum(dim=1)


class SplitAttentionBottleneck(Bottleneck):
    """Bottleneck with a split-attention convolution; a stride is an average pool after it."""

    def add_spatial(self, width: int, stride: int, dilation: int, groups: int, radix: int, reduction_factor: int,
                    avg_down_stride: bool) -> None:
        """A split-attention convolution; with ``avg_down_stride`` the pooling has the stride."""
        pooled = avg_down_stride and stride > 1
        self.conv2 = SplitAttentionConv2d(width, 1 if pooled else stride, dilation, groups, radix, reduction_factor,
                                          self.conv_cfg, self.norm_cfg)
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if pooled else nn.Identity()

    def spatial(self, x: Tensor) -> Tensor:
        """Split attention, which has its norms and activations inside, and the pooling."""
        return self.avd_layer(self.conv2(x))


@BACKBONES.register_module()
class ResNeSt(ResNeXt, ResNetV1d):
    """ResNeSt.

    Args:
        depth: number of layers. The published ResNeSt-101 and 200 have ``stem_channels=128``.
        radix: number of splits.
        reduction_factor: how many times narrower the attention over the splits is.
        avg_down_stride: strides are average pools after the convolution.
        kwargs: see :class:`ResNeXt` and :class:`ResNet`.
    """
    ARCHITECTURES = {
        **{depth: (SplitAttentionBottleneck, counts) for depth, (_, counts) in ResNeXt.ARCHITECTURES.items()},
        200: (SplitAttentionBottleneck, (3, 24, 36, 3)),
    }
    OPTIONS = dict(depth=one_of(ARCHITECTURES), radix=COUNT, reduction_factor=COUNT)

    def __init__(self, radix: int = 2, reduction_factor: int = 4, avg_down_stride: bool = True, **kwargs: Any) -> None:
        self.radix, self.reduction_factor, self.avg_down_stride = radix, reduction_factor, avg_down_stride
        super().__init__(**kwargs)

    def block_options(self) -> dict[str, Any]:
        """Arguments of all blocks."""
        return dict(super().block_options(), radix=self.radix, reduction_factor=self.reduction_factor,
                    avg_down_stride=self.avg_down_stride)
