"""ResNet (He et al., 2016) and its variants with a deep stem (V1c) and averaging shortcuts (V1d; He et al., 2019).

State-dict keys are those of the published ImageNet files.
"""
from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.checkpoint.pretrained import load_pretrained, pretrained_source, resnet_keys
from mmseg.models.kinds import PRETRAINED
from mmseg.models.layers import recomputed
from mmseg.models.layers.named import CONVOLUTION, NORM, build_conv, build_norm
from mmseg.registry import BACKBONES
from mmseg.utils.kinds import COUNT, FIXED, NONE, list_of, one_of, whole

Config = dict[str, Any]


class Block(nn.Module, metaclass=ABCMeta):
    """Residual block: ``relu(residual(x) + shortcut(x))``, from [B, C, H, W] to [B, planes * expansion, h, w].

    Args:
        in_channels, planes: input channels, and channels inside of the block.
        stride, dilation: of its spatial convolution.
        downsample: the shortcut; None is the identity.
        style: 'pytorch' has the stride of a bottleneck in the 3x3 convolution, 'caffe' in the first 1x1.
        with_cp: recompute the block in the backward pass instead of keeping its activations.
        conv_cfg, norm_cfg: kinds of convolution and norm.
        options: what a subclass takes beyond these.
    """
    expansion = 1
    last_norm: int

    def __init__(self, in_channels: int, planes: int, stride: int, dilation: int, downsample: nn.Module | None, *,
                 style: str, with_cp: bool, conv_cfg: Config | None, norm_cfg: Config, **options: Any) -> None:
        super().__init__()
        self.with_cp, self.conv_cfg, self.norm_cfg = with_cp, conv_cfg, norm_cfg
        self.add_layers(in_channels, planes, stride, dilation, style, **options)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample  # last, as in the published files

    @abstractmethod
    def add_layers(self, in_channels: int, planes: int, stride: int, dilation: int, style: str) -> None:
        """Register convolutions and norms."""

    @abstractmethod
    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""

    def add_conv(self, index: int, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> None:
        """Register ``conv<index>`` and its norm (``bn<index>`` for batch norm)."""
        conv = build_conv(self.conv_cfg, in_channels, out_channels, kernel_size, bias=False, **options)
        self.add_module(f'conv{index}', conv)
        name, norm = build_norm(self.norm_cfg, out_channels, postfix=index)
        self.add_module(name, norm)
        self.norm_prefix = name[:-1]

    def norm(self, index: int) -> nn.Module:
        """The norm after ``conv<index>``."""
        return getattr(self, f'{self.norm_prefix}{index}')

    def _sum(self, x: Tensor) -> Tensor:
        return self.residual(x) + (x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, planes * expansion, h, w]."""
        return self.relu(recomputed(self, self._sum, x) if self.with_cp else self._sum(x))


class BasicBlock(Block):
    """Two 3x3 convolutions (ResNet-18 and 34)."""
    last_norm = 2

    def add_layers(self, in_channels: int, planes: int, stride: int, dilation: int, style: str) -> None:
        """The first convolution has stride and dilation."""
        self.add_conv(1, in_channels, planes, 3, stride=stride, padding=dilation, dilation=dilation)
        self.add_conv(2, planes, planes, 3, padding=1)

    def residual(self, x: Tensor) -> Tensor:
        """conv, norm, ReLU, conv, norm."""
        x = self.relu(self.norm(1)(self.conv1(x)))
        return self.norm(2)(self.conv2(x))


class Bottleneck(Block):
    """1x1, 3x3 and 1x1 convolution; the 3x3 is grouped in ResNeXt."""
    expansion = 4
    last_norm = 3

    def add_layers(self, in_channels: int, planes: int, stride: int, dilation: int, style: str, groups: int = 1,
                   base_width: int = 4, base_channels: int = 64, **options: Any) -> None:
        """The stride is in the 3x3 convolution ('pytorch') or in the first 1x1 ('caffe')."""
        width = planes if groups == 1 else planes * base_width // base_channels * groups
        first, second = (1, stride) if style == 'pytorch' else (stride, 1)
        self.add_conv(1, in_channels, width, 1, stride=first)
        self.add_spatial(width, second, dilation, groups, **options)
        self.add_conv(3, width, planes * self.expansion, 1)

    def add_spatial(self, width: int, stride: int, dilation: int, groups: int) -> None:
        """Register the 3x3 convolution."""
        self.add_conv(2, width, width, 3, stride=stride, padding=dilation, dilation=dilation, groups=groups)

    def spatial(self, x: Tensor) -> Tensor:
        """The 3x3 convolution with what belongs to it, [B, width, H, W] to [B, width, h, w]."""
        return self.relu(self.norm(2)(self.conv2(x)))

    def residual(self, x: Tensor) -> Tensor:
        """conv, norm, ReLU, spatial part, conv, norm."""
        x = self.relu(self.norm(1)(self.conv1(x)))
        return self.norm(3)(self.conv3(self.spatial(x)))


@BACKBONES.register_module()
class ResNet(nn.Module):
    """ResNet; :class:`ResNetV1c` and :class:`ResNetV1d` are what segmentation uses.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: channels of the image.
        stem_channels: channels of the stem.
        base_channels: channels inside of the first blocks.
        num_stages: how many stages there are, up to four.
        strides, dilations: one per stage. (1, 2, 1, 1) and (1, 1, 2, 4) give maps at strides 4, 8, 8, 8.
        out_indices: stages whose maps are returned.
        style: where a bottleneck strides: in its 3x3 convolution ('pytorch') or its first 1x1 ('caffe').
        deep_stem: three 3x3 convolutions instead of one 7x7.
        avg_down: shortcuts average before their 1x1 convolution instead of striding in it.
        frozen_stages: the stem (0) and so many stages are not trained and keep their statistics; -1 freezes nothing.
        conv_cfg: kind of convolution; None: the usual one.
        norm_cfg: kind of norm.
        norm_eval: batch norms keep their running statistics while training.
        dcn, plugins: None (deformable convolutions and plugins are not there).
        stage_with_dcn: accepted for old configs, without effect.
        multi_grid: dilations of the last stage's blocks, instead of ``dilations[-1]``.
        contract_dilation: the first block of a dilated stage has half its dilation.
        with_cp: recompute blocks in the backward pass, which saves memory.
        zero_init_residual: blocks start as identity: the scale of their last norm is 0.
        pretrained: file or name of ImageNet weights that :meth:`init_weights` loads; None keeps the random weights.
        init_cfg: None, or ``dict(type='Pretrained', checkpoint=...)`` instead of ``pretrained``.

    Raises:
        ValueError: for an unknown depth or style, numbers of stages that do not agree, deformable convolutions,
            plugins, or both ``pretrained`` and ``init_cfg``.
    """
    ARCHITECTURES: dict[int, tuple[type[Block], tuple[int, ...]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
    OPTIONS = dict(
        norm_cfg=NORM | NONE, conv_cfg=CONVOLUTION | NONE, depth=one_of(ARCHITECTURES),
        style=one_of(['pytorch', 'caffe']), num_stages=whole(1, 4),
        frozen_stages=whole(-1, 4), init_cfg=PRETRAINED,
        **dict.fromkeys(('strides', 'dilations'), list_of(COUNT)), multi_grid=list_of(COUNT) | NONE)

    def __init__(self,
                 depth: int,
                 in_channels: int = 3,
                 stem_channels: int = 64,
                 base_channels: int = 64,
                 num_stages: int = 4,
                 strides: Sequence[int] = (1, 2, 2, 2),
                 dilations: Sequence[int] = (1, 1, 1, 1),
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 style: str = 'pytorch',
                 deep_stem: bool = False,
                 avg_down: bool = False,
                 frozen_stages: int = -1,
                 conv_cfg: Config | None = None,
                 norm_cfg: Config | None = None,
                 norm_eval: bool = False,
                 dcn: None = None,
                 stage_with_dcn: Sequence[bool] = (False, False, False, False),
                 plugins: None = None,
                 multi_grid: Sequence[int] | None = None,
                 contract_dilation: bool = False,
                 with_cp: bool = False,
                 zero_init_residual: bool = True,
                 pretrained: str | None = None,
                 init_cfg: Config | None = None) -> None:
        super().__init__()
        self._check(depth, num_stages, strides, dilations, out_indices, style, frozen_stages)
        if dcn is not None or plugins is not None:
            raise ValueError('dcn and plugins of ResNets are not supported (they need compiled operators): '
                             'set them to None')
        self.pretrained = pretrained_source(pretrained, init_cfg)
        self.depth, self.num_stages, self.base_channels = depth, num_stages, base_channels
        self.strides, self.dilations, self.out_indices = tuple(strides), tuple(dilations), tuple(out_indices)
        self.style, self.deep_stem, self.avg_down, self.with_cp = style, deep_stem, avg_down, with_cp
        self.multi_grid, self.contract_dilation = multi_grid, contract_dilation
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg or dict(type='BN', requires_grad=True)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

        self.in_channels = in_channels
        self._add_stem(in_channels, stem_channels)
        block, _ = self.ARCHITECTURES[depth]
        widths = [base_channels * 2**k * block.expansion for k in range(num_stages)]
        for k, (width, previous) in enumerate(zip(widths, [stem_channels, *widths])):
            self.add_module(f'layer{k + 1}', self._stage(k, previous, width))
        self.channels = [widths[k] for k in self.out_indices]
        self._random_init(zero_init_residual)
        self.train()

    def _check(self, depth: int, num_stages: int, strides: Sequence[int], dilations: Sequence[int],
               out_indices: Sequence[int], style: str, frozen_stages: int) -> None:
        name = type(self).__name__
        if depth not in self.ARCHITECTURES:
            raise ValueError(f'{name} has no depth {depth!r}: choose one of {", ".join(map(str, self.ARCHITECTURES))}')
        if style not in ('pytorch', 'caffe'):
            raise ValueError(f"style of a {name} is 'pytorch' or 'caffe', not {style!r}")
        if not (1 <= num_stages <= 4 and len(strides) == len(dilations) == num_stages):
            raise ValueError(f'{name} with num_stages={num_stages} (1 to 4) needs as many strides and dilations, '
                             f'not {tuple(strides)} and {tuple(dilations)}')
        if not all(0 <= k < num_stages for k in out_indices) or not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'{name} with {num_stages} stages: out_indices {tuple(out_indices)} or frozen_stages '
                             f'{frozen_stages} name a stage that is not there')

    # construction

    def _conv(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Module:
        return build_conv(self.conv_cfg, in_channels, out_channels, kernel_size, stride=stride,
                                padding=kernel_size // 2, bias=False)

    def _norm(self, channels: int) -> nn.Module:
        return build_norm(self.norm_cfg, channels)[1]

    def _add_stem(self, in_channels: int, channels: int) -> None:
        if self.deep_stem:
            layers, half = [], channels // 2
            for source, target, stride in ((in_channels, half, 2), (half, half, 1), (half, channels, 1)):
                layers += [self._conv(source, target, 3, stride), self._norm(target), nn.ReLU(inplace=True)]
            self.stem = nn.Sequential(*layers)
        else:
            self.conv1 = self._conv(in_channels, channels, 7, 2)
            self.norm1_name, norm = build_norm(self.norm_cfg, channels, postfix=1)
            self.add_module(self.norm1_name, norm)
            self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    @property
    def norm1(self) -> nn.Module:
        """The norm of a stem that is not deep."""
        return getattr(self, self.norm1_name)

    def block_options(self) -> Config:
        """Arguments of all blocks."""
        return dict(style=self.style, with_cp=self.with_cp, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)

    def _stage(self, k: int, in_channels: int, out_channels: int) -> nn.Sequential:
        block, counts = self.ARCHITECTURES[self.depth]
        dilation, planes = self.dilations[k], self.base_channels * 2**k
        dilations = [dilation] * counts[k]
        if self.multi_grid is not None and k == self.num_stages - 1:
            dilations = list(self.multi_grid)
            if len(dilations) != counts[k]:
                raise ValueError(f'multi_grid {self.multi_grid} needs one dilation for each of the {counts[k]} blocks '
                                 'of the last stage')
        elif self.contract_dilation and dilation > 1:
            dilations[0] = dilation // 2
        shortcut = self._shortcut(in_channels, out_channels, self.strides[k])
        blocks = [block(in_channels, planes, self.strides[k], dilations[0], shortcut, **self.block_options())]
        blocks += [block(out_channels, planes, 1, d, None, **self.block_options()) for d in dilations[1:]]
        return nn.Sequential(*blocks)

    def _shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
        if stride == 1 and in_channels == out_channels:
            return None
        if not self.avg_down:
            return nn.Sequential(self._conv(in_channels, out_channels, 1, stride), self._norm(out_channels))
        pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(pool, self._conv(in_channels, out_channels, 1), self._norm(out_channels))

    def _random_init(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, Block):
                    nn.init.zeros_(module.norm(module.last_norm).weight)

    def init_weights(self) -> None:
        """Load ``pretrained`` if there is one (random weights come from the constructor).

        Raises:
            FileNotFoundError, CheckpointError: if the file is missing, unreadable or of another network.
        """
        if self.pretrained is not None:
            load_pretrained(self, self.pretrained, ignore=('fc.', 'head.'), convert=resnet_keys)

    # use

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        stem = [self.stem] if self.deep_stem else [self.conv1, self.norm1]
        return stem + [getattr(self, f'layer{k + 1}') for k in range(self.frozen_stages)]

    def train(self, mode: bool = True) -> ResNet:
        """Set the mode; what is frozen, and batch norms with ``norm_eval``, stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen():
            module.requires_grad_(False).eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images [B, in_channels, H, W] to one map [B, channels[i], ceil(H / s), ceil(W / s)] per out index."""
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        x = self.maxpool(x)
        maps = []
        for k in range(self.num_stages):
            x = getattr(self, f'layer{k + 1}')(x)
            if k in self.out_indices:
                maps.append(x)
        return tuple(maps)


@BACKBONES.register_module()
class ResNetV1c(ResNet):
    """ResNet with a deep stem."""
    OPTIONS = dict(deep_stem=FIXED, avg_down=FIXED)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=False, **kwargs)


@BACKBONES.register_module()
class ResNetV1d(ResNet):
    """ResNet with a deep stem and averaging shortcuts."""
    OPTIONS = dict(deep_stem=FIXED, avg_down=FIXED)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=True, **kwargs)
