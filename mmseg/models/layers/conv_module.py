"""Convolution, norm and activation as one block, with the state-dict names of the published checkpoints."""
from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmseg.models.layers.named import build_activation, build_conv, build_norm
from mmseg.models.layers.recompute import recomputed

Config = dict[str, Any]
Size = int | tuple[int, int]
RELU = dict(type='ReLU')


class ConvModule(nn.Module):
    """``activate(norm(conv(x)))``; the norm's name in state dicts is that of its kind, e.g. ``bn``.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: of the convolution.
        bias: of the convolution; 'auto' gives it one where no norm follows.
        conv_cfg: kind of the convolution; None: ``nn.Conv2d``.
        norm_cfg, act_cfg: the norm and the activation; None: none.
        inplace: let the activation overwrite what it gets.

    Raises:
        ValueError: if a type in one of the configs is unknown.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
                 dilation: Size = 1, groups: int = 1, bias: bool | Literal['auto'] = 'auto',
                 conv_cfg: Config | None = None, norm_cfg: Config | None = None, act_cfg: Config | None = RELU,
                 inplace: bool = True) -> None:
        super().__init__()
        self.conv = build_conv(conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=padding,
                               dilation=dilation, groups=groups, bias=norm_cfg is None if bias == 'auto' else bias)
        self.norm_name = None
        if norm_cfg is not None:
            self.norm_name, norm = build_norm(norm_cfg, out_channels)
            self.add_module(self.norm_name, norm)
        self.with_activation = act_cfg is not None
        if act_cfg is not None:
            self.activate = build_activation(act_cfg, inplace)
        self._random_init(act_cfg)

    def _random_init(self, act_cfg: Config | None) -> None:
        leaky = act_cfg is not None and act_cfg['type'] == 'LeakyReLU'
        slope, nonlinearity = (self.activate.negative_slope, 'leaky_relu') if leaky else (0, 'relu')
        nn.init.kaiming_normal_(self.conv.weight, slope, 'fan_out', nonlinearity)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    @property
    def norm(self) -> nn.Module | None:
        """The norm, if there is one."""
        return getattr(self, self.norm_name) if self.norm_name else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, h, w]."""
        return self.finish(self.conv(x))

    def finish(self, x: Tensor) -> Tensor:
        """Norm and activation of what the convolution gave, [B, out_channels, h, w]."""
        if self.norm is not None:
            x = self.norm(x)
        return self.activate(x) if self.with_activation else x


class DepthwiseSeparableConvModule(nn.Module):
    """A convolution of each channel alone, then a 1x1 convolution over the channels, each a :class:`ConvModule`.

    The map between the two, after norm and activation, is computed again for the backward pass: as large as the first
    convolution's output, which the norm keeps, it costs little and is one map less to keep.

    Args:
        in_channels, out_channels: of both in a row.
        kernel_size, stride, padding, dilation: of the first.
        norm_cfg, act_cfg: of both.
        dw_norm_cfg, dw_act_cfg, pw_norm_cfg, pw_act_cfg: of the first (dw) or second (pw) alone instead.
        kwargs: of both, see :class:`ConvModule`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
                 dilation: Size = 1, norm_cfg: Config | None = None, act_cfg: Config | None = RELU,
                 dw_norm_cfg: Config | str | None = 'default', dw_act_cfg: Config | str | None = 'default',
                 pw_norm_cfg: Config | str | None = 'default', pw_act_cfg: Config | str | None = 'default',
                 **kwargs: Any) -> None:
        super().__init__()

        def configs(norm: Any, act: Any) -> dict[str, Any]:
            return dict(kwargs, norm_cfg=norm_cfg if norm == 'default' else norm,
                        act_cfg=act_cfg if act == 'default' else act)

        self.depthwise_conv = ConvModule(in_channels, in_channels, kernel_size, stride, padding, dilation, in_channels,
                                         **configs(dw_norm_cfg, dw_act_cfg))
        self.pointwise_conv = ConvModule(in_channels, out_channels, 1, **configs(pw_norm_cfg, pw_act_cfg))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, h, w]."""
        depthwise, pointwise = self.depthwise_conv, self.pointwise_conv

        def second(x: Tensor) -> Tensor:
            return pointwise.conv(depthwise.finish(x))  # the second pass ends in front of the convolution

        x = depthwise.conv(x)
        # without a norm the activation works in place, on the only map that there is
        return pointwise.finish(second(x) if depthwise.norm is None else recomputed(depthwise, second, x))


class Scale(nn.Module):
    """Multiplies by one learned factor.

    Args:
        scale: its first value.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float))

    def forward(self, x: Tensor) -> Tensor:
        """Map [...] to the same shape."""
        return x * self.scale
