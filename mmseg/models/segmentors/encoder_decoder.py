"""Backbone, optional neck, decode head, optional auxiliary heads."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from mmseg.models.builder import build_backbone, build_head, build_neck
from mmseg.models.kinds import BACKBONE, PART, TEST
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.results import Decoded, Features
from mmseg.registry import SEGMENTORS
from mmseg.utils.kinds import NONE, Each, Section


@SEGMENTORS.register_module()
class EncoderDecoder(BaseSegmentor):
    """The usual segmentor.

    Args:
        backbone: config of the encoder.
        neck: config of what stands between encoder and head.
        decode_head: config of the decoder.
        auxiliary_head: config, or list of configs, of heads that only add losses.
        train_cfg: an empty dict.
        test_cfg: how images are predicted, whole or in sliding windows.
        pretrained: file or name with weights of the backbone; None starts from random weights.
        init_cfg: None; weights come from ``pretrained``.

    Raises:
        ValueError: if ``pretrained`` stands in the backbone's config, too, ``init_cfg`` is given, or a head is not made
            for the maps that it would read.
    """
    OPTIONS = dict(
        backbone=BACKBONE, decode_head=PART, neck=PART | NONE, auxiliary_head=PART | Each(PART) | NONE,
        train_cfg=Section({}) | NONE, test_cfg=TEST | NONE, init_cfg=NONE)

    def __init__(self,
                 backbone: dict[str, Any],
                 decode_head: dict[str, Any],
                 neck: dict[str, Any] | None = None,
                 auxiliary_head: dict[str, Any] | list[dict[str, Any]] | None = None,
                 train_cfg: dict[str, Any] | None = None,
                 test_cfg: dict[str, Any] | None = None,
                 pretrained: str | None = None,
                 init_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(train_cfg, test_cfg)
        if init_cfg is not None:
            raise ValueError('init_cfg is not used by segmentors: name the weights with pretrained')
        if pretrained is not None:
            if backbone.get('pretrained') is not None:
                raise ValueError('pretrained stands both in the model and in its backbone: keep one of them')
            backbone = {**backbone, 'pretrained': pretrained}
        self.backbone = build_backbone(backbone)
        if neck is not None:
            self.neck = build_neck(neck)
        self.decode_head = build_head(decode_head)
        self.num_classes, self.align_corners = self.decode_head.num_classes, self.decode_head.align_corners
        self.embedding_channels = self.decode_head.embedding_channels
        if isinstance(auxiliary_head, (list, tuple)):
            self.auxiliary_head = nn.ModuleList(build_head(cfg) for cfg in auxiliary_head)
        elif auxiliary_head is not None:
            self.auxiliary_head = build_head(auxiliary_head)
        self._check_channels(self.decode_head)
        for name, head in self._auxiliary_heads().items():
            self._check_channels(head)
            if head.num_classes != self.num_classes:
                key = name.replace('aux', 'auxiliary_head').replace('head_', 'head.')
                raise ValueError(f'the {key} predicts {head.num_classes} classes, the decode_head {self.num_classes}: '
                                 f'set model.{key}.num_classes={self.num_classes}')

    def _check_channels(self, head: nn.Module) -> None:
        """Refuse a head for other maps than backbone and neck make, if they say what they make."""
        channels = getattr(self.backbone, 'channels', None)
        if self.with_neck:
            channels = channels and self.neck.out_channels(channels)
        if not channels:
            return
        subject = f'{type(self.backbone).__name__} {"and its neck make" if self.with_neck else "makes"}'
        makes = f'{subject} maps of {channels} channels'
        try:
            found = [channels[level] for level in np.atleast_1d(head.in_index)]
        except IndexError:
            raise ValueError(f'in_index={head.in_index} of {type(head).__name__} names a level that there is not: '
                             f'{makes}') from None
        if sum(found) != head.in_channels if isinstance(head.in_channels, int) else found != list(head.in_channels):
            raise ValueError(f'in_channels={head.in_channels} of {type(head).__name__} does not fit: {makes}, '
                             f'of which in_index={head.in_index} reads {found}')

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return hasattr(self, 'neck')

    @property
    def with_auxiliary_head(self) -> bool:
        """Whether there are auxiliary heads."""
        return hasattr(self, 'auxiliary_head')

    def _auxiliary_heads(self) -> dict[str, nn.Module]:
        """Auxiliary heads by log prefix."""
        if not self.with_auxiliary_head:
            return {}
        if isinstance(self.auxiliary_head, nn.ModuleList):
            return {f'aux_{i}': head for i, head in enumerate(self.auxiliary_head)}
        return {'aux': self.auxiliary_head}

    @property
    def levels_read(self) -> tuple[int, ...]:
        """Of the decode head and the auxiliary heads."""
        return tuple(level for head in (self.decode_head, *self._auxiliary_heads().values()) for level in head.levels)

    def init_weights(self) -> None:
        """Load the backbone's ``pretrained`` file; random weights come from the constructors."""
        self.backbone.init_weights()

    def extract_feat(self, img: Tensor) -> list[Tensor]:
        """Maps [B, C_i, h_i, w_i] of backbone and neck.

        Raises:
            ValueError: if the backbone says that it reads images of other channels.
        """
        wanted = getattr(self.backbone, 'in_channels', img.shape[1])
        if img.shape[1] != wanted:
            raise ValueError(f'images have {img.shape[1]} channels, but model.backbone reads {wanted} (in_channels, '
                             'in_chans of MixVisionTransformer): give it the number that the pipeline makes')
        maps = list(self.backbone(img))
        return self.neck(maps) if self.with_neck else maps

    def encode(self, img: Tensor, box: None = None) -> Features:
        """Feature maps of normalised images [B, 3, H, W]; there are no crop boxes here."""
        return Features(self.extract_feat(img), tuple(img.shape[-2:]))

    def decode(self, features: Features) -> Decoded:
        """Decode feature maps; while training, also with the auxiliary heads."""
        auxiliary = {}
        if self.training:
            auxiliary = {name: head(features.maps) for name, head in self._auxiliary_heads().items()}
        return Decoded(self.decode_head(features.maps), features.size, auxiliary)

    def upsampled(self, decoded: Decoded) -> Tensor:
        """Logits [B, C, H, W] in fp32 at image size, computed once per ``decoded``."""
        if decoded.full is None:
            decoded.full = self.decode_head.upsampled(decoded.logits, decoded.size)
        return decoded.full

    @property
    def shared_weight(self) -> Tensor | None:
        """Of the backbone's trained matrices and kernels (no norms, no biases) the last one."""
        weights = [p for p in self.backbone.parameters() if p.dim() > 1 and p.requires_grad]
        return weights[-1] if weights else None

    @property
    def outputs(self) -> tuple[str, ...]:
        """'main', and 'aux' (or 'aux_0', 'aux_1', ...) for the auxiliary heads."""
        return ('main', *self._auxiliary_heads())

    def predictions(self, decoded: Decoded) -> dict[str, Tensor]:
        """See :meth:`BaseSegmentor.predictions`; auxiliary heads predict while training only."""
        heads = self._auxiliary_heads()
        auxiliary = {name: heads[name].upsampled(output.logits, decoded.size)
                     for name, output in decoded.auxiliary.items()}
        return {'main': self.upsampled(decoded), **auxiliary}

    def losses(self, decoded: Decoded, label: Tensor, weight: Tensor | None = None) -> Losses:
        """Losses and accuracies by log name.

        Args:
            decoded: of :meth:`decode`.
            label: [B, H, W] int64.
            weight: [B, H, W] pixel weights. As published, a single auxiliary head does not get them, a list does.

        Returns:
            ``decode.loss_seg``, ``decode.acc_seg`` (percent) and those of auxiliary heads (``aux.`` or ``aux_0.`` ...).
        """
        found = self.decode_head.losses(decoded.head, label, weight, full=self.upsampled(decoded)).prefixed('decode.')
        heads = self._auxiliary_heads()
        for prefix, output in decoded.auxiliary.items():
            losses = heads[prefix].losses(output, label, None if prefix == 'aux' else weight)
            found |= losses.prefixed(f'{prefix}.')
        return found
