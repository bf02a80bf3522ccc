"""DANet's decoder (Fu et al., 2019, section 3)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule, Scale, SelfAttentionBlock
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import HeadOutput
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT


class PositionAttention(SelfAttentionBlock):
    """Attention between positions, added to its input with a learned factor that starts at 0."""

    def __init__(self, channels: int, pam_channels: int) -> None:
        super().__init__(channels, pam_channels, channels, matmul_norm=False)
        self.gamma = Scale(0.)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, h, w] to the same shape."""
        return self.gamma(super().forward(x)) + x


class ChannelAttention(nn.Module):
    """Attention between channels, added to its input with a learned factor that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = Scale(0.)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to the same shape. A channel attends to those that are unlike it, as published."""
        channels = x.flatten(2)
        with torch.autocast('cuda' if x.is_cuda else 'cpu', enabled=False):  # such large sums are not for bf16
            energy = channels.float() @ channels.float().transpose(1, 2)
        attention = (-energy).softmax(dim=-1).to(x.dtype)
        return self.gamma((attention @ channels).view_as(x)) + x


@HEADS.register_module()
class DAHead(BaseDecodeHead):
    """Position and channel attention side by side; their sum is classified, for the losses also each alone.

    Args:
        pam_channels: channels of keys and queries of the position attention.
        kwargs: of :class:`BaseDecodeHead`.
    """
    OPTIONS = dict(pam_channels=COUNT)

    def __init__(self, pam_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pam_in_conv = self._conv(self.in_channels)
        self.pam = PositionAttention(self.channels, pam_channels)
        self.pam_out_conv = self._conv(self.channels)
        self.pam_conv_seg = nn.Conv2d(self.channels, self.num_classes, 1)
        self.cam_in_conv = self._conv(self.in_channels)
        self.cam = ChannelAttention()
        self.cam_out_conv = self._conv(self.channels)
        self.cam_conv_seg = nn.Conv2d(self.channels, self.num_classes, 1)

    def _conv(self, in_channels: int) -> ConvModule:
        return ConvModule(in_channels, self.channels, 3, padding=1, **self.conv_options)

    def _branches(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.select(feats)
        return self.pam_out_conv(self.pam(self.pam_in_conv(x))), self.cam_out_conv(self.cam(self.cam_in_conv(x)))

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Sum of both branches: [B, channels, h, w]."""
        return sum(self._branches(feats))

    def forward(self, feats: list[Tensor]) -> HeadOutput:
        """Decode feature maps; ``parts`` holds the logits of the branches, 'pam' (position) and 'cam' (channel)."""
        pam, cam = self.run(self._branches, feats)
        embedding = pam + cam
        parts = {'pam': self.pam_conv_seg(self.drop(pam)), 'cam': self.cam_conv_seg(self.drop(cam))}
        return HeadOutput(self.cls_seg(embedding), embedding, parts)

    def losses(self, output: HeadOutput, label: Tensor, weight: Tensor | None = None,
               full: Tensor | None = None) -> Losses:
        """``loss_seg`` and ``acc_seg`` under ``pam_cam.`` (the prediction), ``pam.`` and ``cam.``; see the base."""
        found = super().losses(output, label, weight, full).prefixed('pam_cam.')
        for part, logits in output.parts.items():
            found |= self.losses_of(self.upsampled(logits, label.shape[-2:]), label, weight).prefixed(f'{part}.')
        return found
