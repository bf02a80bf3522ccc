"""HRDA's multi-resolution fusion: context and detail, weighted by a learned scale attention (Hoyer et al., 2022)."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.builder import build_head
from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.results import Box, HeadOutput, HRDAFeatures
from mmseg.models.segmentors.sliding import CROPS_PER_CALL, Canvas, in_parts
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, FLAG, NONE, POSITIVE, SHARE, list_of


def scale_box(box: Box, factor: float) -> Box:
    """A box in cells of ``factor`` pixels, truncated as published."""
    return tuple(int(side / factor) for side in box)


@HEADS.register_module()
class HRDAHead(nn.Module):
    """One head for both scales, and one that says which scale to trust (section 3.2).

    Args:
        single_scale_head: registered name of the head; it gets all further arguments.
        scales: of the image, ascending: context and detail, or only one, which leaves the single-scale head. The
            segmentor sets them.
        lr_loss_weight: share of the context's own loss (of (1 - attention) times its logits); the fused prediction has
            the rest of 1. Logged as ``decode.lr.*``.
        hr_loss_weight: share of the detail's own loss. Logged as ``decode.hr.*``.
        attention_embed_dim: width of the attention head of a DAFormerHead, which has a 1x1 convolution in place of the
            ASPP. Other heads attend with a second one of their kind.
        attention_classwise: one attention map per class instead of one for all.
        fixed_attention: a constant in [0, 1] instead of the attention head.
        debug_output_attention: in evaluation, return the attention of the predicted classes, [B, 1, h, w] in 0..1, in
            place of logits.
        enable_hr_crop, hr_slide_inference: of old configs, without effect: the model's keys say it.
        head: arguments of the single-scale head.

    Raises:
        ValueError: if there are more than two scales, or the loss weights do not leave a share in [0, 1].
    """
    FURTHER = 'single_scale_head'  # the class that gets the further arguments
    OPTIONS = dict(
        **dict.fromkeys(('lr_loss_weight', 'hr_loss_weight'), SHARE), fixed_attention=SHARE | NONE,
        attention_embed_dim=COUNT, scales=list_of(POSITIVE),
        # of older configs; the segmentor says it
        enable_hr_crop=FLAG, hr_slide_inference=FLAG)

    def __init__(self,
                 single_scale_head: str,
                 scales: Sequence[float] = (1, ),
                 lr_loss_weight: float = 0.,
                 hr_loss_weight: float = 0.,
                 attention_embed_dim: int = 256,
                 attention_classwise: bool = True,
                 fixed_attention: float | None = None,
                 debug_output_attention: bool = False,
                 **head: Any) -> None:
        super().__init__()
        if not 1 <= len(scales) <= 2:
            raise ValueError(f'HRDA fuses two scales (or has one), not {len(scales)}')
        if min(lr_loss_weight, hr_loss_weight) < 0 or lr_loss_weight + hr_loss_weight > 1:
            raise ValueError(f'lr_loss_weight={lr_loss_weight} and hr_loss_weight={hr_loss_weight} are shares: they '
                             'must not be negative, nor add up to more than 1')
        self.scales, self.shares = tuple(scales), dict(lr=lr_loss_weight, hr=hr_loss_weight)
        self.fixed_attention, self.debug_output_attention = fixed_attention, debug_output_attention
        self.head = build_head({**head, 'type': single_scale_head})
        self.num_classes, self.align_corners, self.levels, self.embedding_channels = (
            self.head.num_classes, self.head.align_corners, self.head.levels, self.head.embedding_channels)
        self.in_channels, self.in_index = self.head.in_channels, self.head.in_index
        if len(scales) == 2 and fixed_attention is None:
            attention = {**head, 'type': single_scale_head}
            if single_scale_head == 'DAFormerHead':
                attention.update(channels=attention_embed_dim,
                                 decoder_params=_narrow(head['decoder_params'], attention_embed_dim))
            if not attention_classwise:
                attention['num_classes'] = 1
            self.scale_attention = build_head(attention)

    def own_names(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of another HRDA head, without those of the attention that a fixed one replaces."""
        kept = ('', ) if self.fixed_attention is None else ('head.', )
        return {name: value for name, value in state.items() if name.startswith(kept)}

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the two heads; the fusion has another crop box in every iteration."""
        for child in self.children():
            child.compile(*args, **kwargs)

    def forward(self, features: HRDAFeatures) -> HeadOutput:
        """Logits [B, num_classes, h, w] of both scales, see :meth:`fuse`; of one scale, those of its head."""
        context = self.head(features.context)
        return self.fuse(features, context, self.detail(features.detail)) if features.detail else context

    def detail(self, maps: list[Tensor]) -> Tensor:
        """Logits [n B, num_classes, h, w] of detail crops."""
        size = len(maps[0]) if self.training else CROPS_PER_CALL
        return in_parts(lambda part: [self.head(part).logits], maps, size)[0]

    def attention(self, maps: list[Tensor], like: Tensor) -> Tensor:
        """How much to trust the detail, in [0, 1]: [B, num_classes or 1, h, w] in fp32, for context maps.

        Args:
            maps: one [B, C_i, h_i, w_i] per level.
            like: context logits, for the size of a fixed attention.
        """
        if self.fixed_attention is not None:
            return torch.full_like(like[:, :1], self.fixed_attention)
        return self.scale_attention(maps).logits.float().sigmoid()

    def fuse(self, features: HRDAFeatures, context: HeadOutput, detail: Tensor) -> HeadOutput:
        """Fuse both scales; outside of a random detail crop only the context counts.

        Args:
            features: context maps, and where the detail comes from.
            context: output of the head for the context.
            detail: [n B, num_classes, h, w], logits of the crop, of n windows or of the image.

        Returns:
            Fused logits in fp32 at the detail's resolution; as parts ``lr``, the context logits times (1 - attention),
            and ``hr``, the detail logits of the crop or the image; the embedding is the context's.
        """
        lr, detail = context.logits.float(), detail.float()
        attention = self.attention(features.context, lr)
        hr = placed = detail
        if features.windows:
            stride = _stride(features.windows[0], detail)
            hr = placed = resize(_merged(detail, features.windows, stride), _cells(features.size, stride))
        elif features.box is not None:
            stride = _stride(features.box, detail)
            placed = _padded(detail, features.box, stride, _cells(features.size, stride))
            y1, y2, x1, x2 = scale_box(features.box, stride / self.scales[0])
            inside = torch.zeros_like(attention[:1, :1])
            inside[:, :, y1:y2, x1:x2] = 1
            attention = attention * inside
        lr = (1 - attention) * lr
        up, attention = (resize(x, placed.shape[-2:], align_corners=self.align_corners) for x in (lr, attention))
        fused = attention * placed + up
        if self.debug_output_attention and not self.training:
            fused = (attention * fused.softmax(dim=1)).sum(dim=1, keepdim=True)
        return HeadOutput(fused, context.embedding, {'lr': lr, 'hr': hr})

    def upsampled(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits [B, C, h, w] at ``size`` in fp32."""
        return self.head.upsampled(logits, size)

    def losses(self, output: HeadOutput, label: Tensor, weight: Tensor | None = None, full: Tensor | None = None,
               box: Box | None = None) -> Losses:
        """Losses of what :meth:`forward` returned, each times its share.

        Args:
            output: the head's output.
            label: [B, H, W] int64 at image size.
            weight: [B, H, W] pixel weights.
            full: ``output.logits`` at label size, if the caller has them already.
            box: the crop of the image that the detail logits cover; None for all of it.

        Returns:
            ``loss_seg`` and ``acc_seg`` (percent), with the prefixes ``lr.`` and ``hr.`` for scales that have a share.
        """
        if full is None:
            full = self.upsampled(output.logits, label.shape[-2:])
        losses = self.head.losses_of(full, label, weight)
        parts = {name: share for name, share in self.shares.items() if share and name in output.parts}
        losses = losses.scaled(1 - sum(parts.values()))
        for name, share in parts.items():
            covered = [x if x is None or box is None or name == 'lr' else x[:, box[0]:box[1], box[2]:box[3]]
                       for x in (label, weight)]
            own = self.head.losses_of(self.upsampled(output.parts[name], covered[0].shape[-2:]), *covered)
            losses |= own.scaled(share).prefixed(f'{name}.')
        return losses


def _narrow(decoder_params: dict[str, Any], width: int) -> dict[str, Any]:
    """DAFormer's ``decoder_params`` for the attention: one width, and a 1x1 convolution in place of the ASPP."""
    fusion = decoder_params['fusion_cfg']
    if fusion['type'] == 'aspp':
        fusion = dict(type='conv', kernel_size=1, act_cfg=dict(type='ReLU'), norm_cfg=fusion['norm_cfg'])
    return {**decoder_params, 'embed_dims': width, 'fusion_cfg': fusion}


def _stride(box: Box, logits: Tensor) -> int:
    """Pixels per cell, a power of two, of logits [..., h, w] that cover ``box``."""
    return 2**round(math.log2((box[1] - box[0]) / logits.shape[-2]))


def _cells(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(height, width) of a map of an image."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _padded(logits: Tensor, box: Box, stride: int, size: tuple[int, int]) -> Tensor:
    """Logits of a crop in a map of zeros for the whole image, [B, C, *size]."""
    top, _, left, _ = scale_box(box, stride)
    height, width = logits.shape[-2:]
    return F.pad(logits, (left, size[1] - left - width, top, size[0] - top - height))


def _merged(logits: Tensor, windows: Sequence[Box], stride: int) -> Tensor:
    """Logits [n B, C, h, w] of n windows as one map, averaged where they overlap."""
    height, width = logits.shape[-2:]
    starts = [(y, x) for y, _, x, _ in (scale_box(box, stride) for box in windows)]
    canvas = Canvas((max(y for y, _ in starts) + height, max(x for _, x in starts) + width))
    for window, (y, x) in zip(logits.chunk(len(windows)), starts):
        canvas.add(window, (y, y + height, x, x + width))
    return canvas.mean()
