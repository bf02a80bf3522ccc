"""Mix Transformer, the encoder of SegFormer (Xie et al., 2021, section 3.1).

State-dict keys are those of the published ImageNet files.
"""
from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.checkpoint.pretrained import load_pretrained, pretrained_source
from mmseg.models.backbones.mit_keys import mit_keys
from mmseg.models.kinds import PRETRAINED
from mmseg.models.layers import DropPath, recomputed, to_map, to_tokens
from mmseg.registry import BACKBONES
from mmseg.utils.kinds import COUNT, FIXED, POSITIVE, RATE, list_of

PRETRAINED_HELP = ('It is one of the MiT files (ImageNet-1K) that the SegFormer authors publish at '
                   'https://github.com/NVlabs/SegFormer; put it into the folder pretrained/, or say '
                   "model.pretrained='mit_b5' (b0 to b5) to have it downloaded (or set model.pretrained=None to start "
                   'from random weights)')


class DWConv(nn.Module):
    """3x3 depthwise convolution over tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, 1, 1, groups=dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens [B, h*w, C] to the same shape."""
        return to_tokens(self.dwconv(to_map(x, size)))


class Mlp(nn.Module):
    """Mix-FFN: linear, depthwise convolution, GELU, linear (SegFormer, equation 3)."""

    def __init__(self, dim: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = DWConv(hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens [B, h*w, C] to the same shape."""
        x = self.drop(self.act(self.dwconv(self.fc1(x), size)))
        return self.drop(self.fc2(x))


class Attention(nn.Module):
    """Self-attention with keys and values on a grid reduced by ``sr_ratio`` (SegFormer, equations 1 and 2)."""

    def __init__(self, dim: int, num_heads: int, sr_ratio: int, qkv_bias: bool, qk_scale: float | None,
                 attn_drop: float, proj_drop: float) -> None:
        super().__init__()
        self.num_heads, self.sr_ratio = num_heads, sr_ratio
        self.scale = qk_scale or (dim // num_heads)**-0.5
        self.q = nn.Linear(dim, dim, bias=qkv_bias)
        self.kv = nn.Linear(dim, dim * 2, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        if sr_ratio > 1:
            self.sr = nn.Conv2d(dim, dim, kernel_size=sr_ratio, stride=sr_ratio)
            self.norm = nn.LayerNorm(dim)

    def reduced(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens [B, h*w, C] to one per ``sr_ratio`` x ``sr_ratio`` cells; what fills no cell is left out.

        The kernel of ``sr`` is its stride, so it is a matrix product; that rounds less than convolution kernels do.

        Raises:
            ValueError: if the map is smaller than one reduced cell.
        """
        r, c = self.sr_ratio, x.shape[2]
        h, w = size[0] // r, size[1] // r
        if h == 0 or w == 0:
            raise ValueError('images for a Mix Transformer need at least 29 x 29 pixels: raise crop_size or img_scale')
        cells = x.unflatten(1, size)[:, :h * r, :w * r].unflatten(2, (w, r)).unflatten(1, (h, r))
        patches = cells.transpose(2, 3).reshape(-1, h * w, r * r * c)
        return F.linear(patches, self.sr.weight.permute(0, 2, 3, 1).reshape(c, -1), self.sr.bias)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens [B, h*w, C] to the same shape."""
        b, n, c = x.shape
        q = self.q(x).view(b, n, self.num_heads, -1).transpose(1, 2)
        context = self.norm(self.reduced(x, size)) if self.sr_ratio > 1 else x
        k, v = self.kv(context).view(b, -1, 2, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attn_drop.p if self.attn_drop.training else 0.
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=self.scale)
        return self.proj_drop(self.proj(x.transpose(1, 2).reshape(b, n, c)))


class Block(nn.Module):
    """Transformer block; both residuals share one DropPath (with a draw each)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, sr_ratio: int, qkv_bias: bool,
                 qk_scale: float | None, drop: float, attn_drop: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, sr_ratio, qkv_bias, qk_scale, attn_drop, drop)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens [B, h*w, C] to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class OverlapPatchEmbed(nn.Module):
    """Strided convolution to tokens."""

    def __init__(self, kernel_size: int, stride: int, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size, stride, kernel_size // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Map [B, in_channels, H, W] to tokens [B, h*w, dim] and (h, w)."""
        x = self.proj(x.contiguous())  # planar, as the originals have it: the same kernels and so the same rounding
        return self.norm(to_tokens(x)), tuple(x.shape[-2:])


@BACKBONES.register_module()
class MixVisionTransformer(nn.Module):
    """Mix Transformer with four stages at strides 4, 8, 16 and 32.

    Args:
        in_chans: image channels.
        embed_dims: channels of each stage.
        num_heads: attention heads of each stage.
        mlp_ratios: how many times wider the hidden layers of each stage's blocks are.
        depths: blocks of each stage.
        sr_ratios: in each stage, factor by which keys and values are reduced in height and width.
        qkv_bias: whether queries, keys and values have biases.
        qk_scale: factor of the attention's scores; None: ``head_dim ** -0.5``.
        drop_rate: dropout after linear layers.
        attn_drop_rate: dropout in the attention.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        pretrained: ImageNet weights that :meth:`init_weights` loads: 'mit_b0' to 'mit_b5' from the Hugging Face Hub, or
            a file with the authors' names or those of later mmsegmentation versions; None keeps the random weights.
        init_cfg: None, or ``dict(type='Pretrained', checkpoint=...)`` instead of ``pretrained``.
        freeze_patch_embed: do not train the first patch embedding.
        with_cp: recompute blocks in the backward pass, which saves memory.
        patch_size, style: accepted for old configs, without effect.

    Attributes:
        own_names: gives a state dict of other programs the names used here.

    Raises:
        ValueError: if both ``pretrained`` and ``init_cfg`` are given, or heads cannot share the channels of a stage.
        TypeError: if ``pretrained`` is neither a string nor None.
    """
    OPTIONS = dict(
        **dict.fromkeys(('embed_dims', 'num_heads', 'depths', 'sr_ratios'), list_of(COUNT, 4)), in_chans=COUNT,
        **dict.fromkeys(('drop_rate', 'attn_drop_rate', 'drop_path_rate'), RATE), mlp_ratios=list_of(POSITIVE, 4),
        init_cfg=PRETRAINED)
    own_names = staticmethod(mit_keys)

    def __init__(self,
                 in_chans: int = 3,
                 embed_dims: tuple[int, ...] = (64, 128, 256, 512),
                 num_heads: tuple[int, ...] = (1, 2, 4, 8),
                 mlp_ratios: tuple[float, ...] = (4, 4, 4, 4),
                 qkv_bias: bool = True,
                 qk_scale: float | None = None,
                 drop_rate: float = 0.,
                 attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.1,
                 depths: tuple[int, ...] = (3, 4, 6, 3),
                 sr_ratios: tuple[int, ...] = (8, 4, 2, 1),
                 pretrained: str | None = None,
                 init_cfg: dict[str, Any] | None = None,
                 freeze_patch_embed: bool = False,
                 with_cp: bool = False,
                 patch_size: int = 4,
                 style: str = 'pytorch') -> None:
        super().__init__()
        if any(dim % heads for dim, heads in zip(embed_dims, num_heads)):
            raise ValueError(f'embed_dims={list(embed_dims)} are no multiples of num_heads={list(num_heads)}, stage by '
                             'stage, so that heads cannot share them equally')
        self.pretrained = pretrained_source(pretrained, init_cfg)
        self.in_channels, self.channels = in_chans, list(embed_dims)
        self.depths, self.with_cp = tuple(depths), with_cp
        rates = _drop_path_rates(drop_path_rate, sum(depths))
        # order of registration = order of the keys in published files: first the patch embeddings, then the stages
        for k, dim in enumerate(embed_dims):
            kernel, stride, channels = (7, 4, in_chans) if k == 0 else (3, 2, embed_dims[k - 1])
            setattr(self, f'patch_embed{k + 1}', OverlapPatchEmbed(kernel, stride, channels, dim))
        for k, dim in enumerate(embed_dims):
            common = (dim, num_heads[k], mlp_ratios[k], sr_ratios[k], qkv_bias, qk_scale, drop_rate, attn_drop_rate)
            first = sum(depths[:k])
            blocks = nn.ModuleList(Block(*common, rate) for rate in rates[first:first + depths[k]])
            setattr(self, f'block{k + 1}', blocks)
            setattr(self, f'norm{k + 1}', nn.LayerNorm(dim, eps=1e-6))
        self.apply(_random_init)
        if freeze_patch_embed:
            self.patch_embed1.requires_grad_(False)

    def init_weights(self) -> None:
        """Load ``pretrained`` if there is one (random weights come from the constructor).

        Raises:
            FileNotFoundError, CheckpointError: if the file is missing, unreadable or of another network.
        """
        if self.pretrained is not None:
            load_pretrained(self, self.pretrained, PRETRAINED_HELP, ignore=('head.', ), convert=self.own_names)

    def reset_drop_path(self, drop_path_rate: float) -> None:
        """Set stochastic depth anew: 0 at the first block, growing linearly to ``drop_path_rate`` at the last."""
        rates = iter(_drop_path_rates(drop_path_rate, sum(self.depths)))
        for k in range(len(self.depths)):
            for block in getattr(self, f'block{k + 1}'):
                block.drop_path.drop_prob = next(rates)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images [B, in_chans, H, W] to maps [B, embed_dims[k], ceil(H / s), ceil(W / s)], s = 4, 8, 16, 32."""
        maps = []
        for k in range(1, len(self.depths) + 1):
            x, size = getattr(self, f'patch_embed{k}')(x)
            for block in getattr(self, f'block{k}'):
                x = recomputed(block, block, x, size) if self.with_cp else block(x, size)
            x = to_map(getattr(self, f'norm{k}')(x), size)
            maps.append(x)
        return maps


def _drop_path_rates(last: float, blocks: int) -> list[float]:
    """Rates that grow linearly from 0 to ``last``."""
    return [last * i / max(blocks - 1, 1) for i in range(blocks)]


def _random_init(module: nn.Module) -> None:
    """SegFormer's initialisation."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2. / fan_out))
        nn.init.zeros_(module.bias)


def _variant(name: str, embed_dims: tuple[int, ...], depths: tuple[int, ...]) -> type[MixVisionTransformer]:
    """Register the published variant ``name``; its widths and depths are fixed, all else can be set."""

    def __init__(self: MixVisionTransformer, **kwargs: Any) -> None:
        MixVisionTransformer.__init__(self, embed_dims=embed_dims, num_heads=(1, 2, 5, 8), depths=depths, **kwargs)

    doc = f'MiT-{name[-2:].upper()}: widths {embed_dims}, depths {depths}.'
    fixed = dict.fromkeys(('embed_dims', 'num_heads', 'depths'), FIXED)
    cls = type(name, (MixVisionTransformer, ),
               {'__init__': __init__, '__doc__': doc, '__module__': __name__, 'OPTIONS': fixed})
    return BACKBONES.register_module(name=name, module=cls)


mit_b0 = _variant('mit_b0', (32, 64, 160, 256), (2, 2, 2, 2))
mit_b1 = _variant('mit_b1', (64, 128, 320, 512), (2, 2, 2, 2))
mit_b2 = _variant('mit_b2', (64, 128, 320, 512), (3, 4, 6, 3))
mit_b3 = _variant('mit_b3', (64, 128, 320, 512), (3, 4, 18, 3))
mit_b4 = _variant('mit_b4', (64, 128, 320, 512), (3, 8, 27, 3))
mit_b5 = _variant('mit_b5', (64, 128, 320, 512), (3, 6, 40, 3))
