"""What all decode heads have in common."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.builder import build_loss
from mmseg.models.kinds import PART, SAMPLER
from mmseg.models.layers import recomputed, resize
from mmseg.models.layers.named import SECTIONS
from mmseg.models.losses import accuracy
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import HeadOutput
from mmseg.registry import PIXEL_SAMPLERS
from mmseg.utils.kinds import COUNT, INTEGER, LABEL, NONE, SHARE, Each, Section, list_of, one_of


class BaseDecodeHead(nn.Module, metaclass=ABCMeta):
    """From feature maps to logits: select inputs, fuse them (:meth:`forward_embedding`), drop out, classify.

    Args:
        in_channels: channels of the selected level, or of each of them.
        channels: channels of the embedding.
        num_classes: number of classes, at most 254.
        dropout_ratio: Dropout2d before the classifier.
        conv_cfg: kind of the head's convolutions; None: the usual one.
        norm_cfg: their norm, e.g. ``dict(type='BN', requires_grad=True)``; None: none, but a bias.
        act_cfg: their activation; None: ReLU.
        in_index: selected level, or levels.
        input_transform: None (one level), 'multiple_select' (a list of levels) or 'resize_concat' (levels resized
            to the first and concatenated).
        loss_decode: config of the loss, or a list of them, which are added up.
        decoder_params: options of heads that take them as one dict.
        ignore_index: label without loss; leave it out, since unlabelled pixels are 255 once label files are read.
            Another id, as old configs have it, is the one of the files, and every data set with labels names it, too.
        sampler: config of a pixel sampler, whose choice takes the place of the pixel weights.
        align_corners: for all resizing.
        with_cp: recompute the embedding in the backward pass, which saves memory.

    Raises:
        ValueError: if ``input_transform`` is unknown, or ``in_channels`` and ``in_index`` do not fit together.
    """
    OPTIONS = dict(
        **SECTIONS, loss_decode=PART | Each(PART, empty=False) | NONE, sampler=SAMPLER | NONE,
        decoder_params=Section({}) | NONE,
        in_channels=COUNT | list_of(COUNT), channels=COUNT, num_classes=COUNT, dropout_ratio=SHARE,
        in_index=INTEGER | list_of(INTEGER), input_transform=one_of(['multiple_select', 'resize_concat']) | NONE,
        ignore_index=LABEL | NONE)

    def __init__(self,
                 in_channels: int | list[int],
                 channels: int,
                 *,
                 num_classes: int,
                 dropout_ratio: float = 0.1,
                 conv_cfg: dict[str, Any] | None = None,
                 norm_cfg: dict[str, Any] | None = None,
                 act_cfg: dict[str, Any] | None = None,
                 in_index: int | list[int] = -1,
                 input_transform: str | None = None,
                 loss_decode: dict[str, Any] | list[dict[str, Any]] | None = None,
                 decoder_params: dict[str, Any] | None = None,
                 ignore_index: int = 255,
                 sampler: dict[str, Any] | None = None,
                 align_corners: bool = False,
                 with_cp: bool = False) -> None:
        super().__init__()
        self._check_inputs(in_channels, in_index, input_transform)
        self.in_index, self.input_transform = in_index, input_transform
        self.in_channels = sum(in_channels) if input_transform == 'resize_concat' else in_channels
        self.channels, self.num_classes = channels, num_classes
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg or dict(type='ReLU')
        self.decoder_params = decoder_params or {}
        self.ignore_index, self.align_corners, self.with_cp = ignore_index, align_corners, with_cp
        losses = loss_decode or dict(type='CrossEntropyLoss', loss_weight=1.0)
        self.criteria = nn.ModuleList(build_loss(cfg) for cfg in ([losses] if isinstance(losses, dict) else losses))
        for criterion in self.criteria:
            if criterion.class_weight is not None and len(criterion.class_weight) != num_classes:
                raise ValueError(f'class_weight of {type(criterion).__name__} has {len(criterion.class_weight)} '
                                 f'entries for {num_classes} classes')
        self.sampler = None if sampler is None else PIXEL_SAMPLERS.build(sampler)
        if self.sampler is not None and not self.criteria[0].per_pixel:
            raise ValueError(f'sampler: it ranks pixels by the first loss, and {type(self.criteria[0]).__name__} has '
                             'none for each pixel: name CrossEntropyLoss first in loss_decode')
        self.conv_seg = nn.Conv2d(channels, num_classes, kernel_size=1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)
        self.dropout = nn.Dropout2d(dropout_ratio) if dropout_ratio > 0 else None

    @staticmethod
    def _check_inputs(in_channels: int | list[int], in_index: int | list[int], transform: str | None) -> None:
        if transform not in (None, 'resize_concat', 'multiple_select'):
            raise ValueError(f'input_transform must be None, resize_concat or multiple_select, not {transform!r}')
        several = transform is not None
        lists = isinstance(in_channels, (list, tuple)), isinstance(in_index, (list, tuple))
        if lists != (several, several) or (several and len(in_channels) != len(in_index)):
            raise ValueError(f'in_channels {in_channels!r} and in_index {in_index!r} must be '
                             f'{"lists of equal length" if several else "integers"} for input_transform {transform!r}')

    @property
    def conv_options(self) -> dict[str, Any]:
        """``conv_cfg``, ``norm_cfg`` and ``act_cfg`` for the head's convolutions."""
        return dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    @property
    def embedding_channels(self) -> int:
        """Channels D of the embedding."""
        return self.channels

    @property
    def levels(self) -> tuple[int, ...]:
        """Indices of the maps that the head reads; negative ones count from the last."""
        return (self.in_index, ) if self.input_transform is None else tuple(self.in_index)

    def select(self, feats: list[Tensor]) -> list[Tensor] | Tensor:
        """The levels that this head reads, as ``input_transform`` says."""
        if self.input_transform is None:
            return feats[self.in_index]
        chosen = [feats[i] for i in self.in_index]
        if self.input_transform == 'multiple_select':
            return chosen
        size = chosen[0].shape[-2:]
        return torch.cat([resize(x, size, align_corners=self.align_corners) for x in chosen], dim=1)

    @abstractmethod
    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Fuse feature maps, one [B, C_i, h_i, w_i] per backbone level, to the embedding [B, D, h, w]."""

    def run(self, function: Callable[[list[Tensor]], Any], feats: list[Tensor]) -> Any:
        """``function(feats)``, recomputed in the backward pass if ``with_cp`` says so."""
        return recomputed(self, function, feats) if self.with_cp else function(feats)

    def classifier(self, embedding: Tensor) -> Tensor:
        """Classify an embedding [B, D, h, w]: logits [B, num_classes, h, w]."""
        return self.conv_seg(embedding)

    def drop(self, x: Tensor) -> Tensor:
        """Dropout in front of a classifier, if the head has it."""
        return x if self.dropout is None else self.dropout(x)

    def cls_seg(self, embedding: Tensor) -> Tensor:
        """Dropout and classifier: embedding [B, D, h, w] to logits [B, num_classes, h, w]."""
        return self.classifier(self.drop(embedding))

    def forward(self, feats: list[Tensor]) -> HeadOutput:
        """Decode feature maps, one [B, C_i, h_i, w_i] per backbone level."""
        embedding = self.run(self.forward_embedding, feats)
        return HeadOutput(self.cls_seg(embedding), embedding)

    def losses(self, output: HeadOutput, label: Tensor, weight: Tensor | None = None,
               full: Tensor | None = None) -> Losses:
        """Losses of what :meth:`forward` returned.

        Args:
            output: the head's output.
            label: [B, H, W] int64 at image size.
            weight: [B, H, W] pixel weights.
            full: ``output.logits`` at label size, if the caller has them already.

        Returns:
            ``loss_seg``, and ``acc_seg`` in percent of all pixels.
        """
        if full is None:
            full = self.upsampled(output.logits, label.shape[-2:])
        return self.losses_of(full, label, weight)

    def upsampled(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits [B, C, h, w] at ``size`` in fp32; one plane per class, which softmax and maximum run fastest on."""
        return resize(logits.float().contiguous(), size, align_corners=self.align_corners)

    def losses_of(self, full: Tensor, label: Tensor, weight: Tensor | None) -> Losses:
        """``loss_seg`` and ``acc_seg`` of logits [B, C, H, W] at label size; of several losses each is logged, too."""
        if self.sampler is not None:
            weight = self.sampler.sample(full, label, self.criteria[0], self.ignore_index)
        terms = [criterion(full, label, weight=weight, ignore_index=self.ignore_index) for criterion in self.criteria]
        logged = dict(acc_seg=accuracy(full, label))
        if len(terms) > 1:
            logged.update((criterion.log_name, term.detach()) for criterion, term in zip(self.criteria, terms))
        return Losses(trained=dict(loss_seg=sum(terms[1:], terms[0])), logged=logged)
