"""HRDA: large low-resolution context crops with small high-resolution detail crops (Hoyer et al., 2022)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.segmentors.base import Meta
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.results import Box, HRDADecoded, HRDAFeatures
from mmseg.models.segmentors.sliding import CROPS_PER_CALL, average_windows, cut, in_parts, window_boxes
from mmseg.registry import SEGMENTORS
from mmseg.utils.kinds import COUNT, NONE, POSITIVE, SIZE, list_of, one_of

# The published programs also write these into the head's config; they follow from the segmentor's.
DERIVED = ('scales', 'enable_hr_crop', 'hr_slide_inference')


@SEGMENTORS.register_module()
class HRDAEncoderDecoder(EncoderDecoder):
    """Sees the whole image at a small scale and, while training, a random crop of it at a large scale.

    The teacher and evaluation see the detail of the whole image, in sliding windows.

    Args:
        decode_head: config of an ``HRDAHead``.
        scales: one or two factors that the image is resized by; the smaller gives the context, the larger the detail.
        hr_crop_size: (height, width) in pixels of detail crops and windows; None trains on the whole detail image.
        hr_slide_inference: evaluate the detail in windows of the crop size, else as a whole.
        hr_slide_overlapping: windows overlap by half.
        crop_coord_divisible: offsets of crops are multiples of it (pixels); the largest legal one is never drawn.
        blur_hr_crop: halve and double images of scale 1, to tell the gain of context from that of detail.
        feature_scale: the scale that a feature distance compares, or 'all'.
        auxiliary_head: None.
        kwargs: see :class:`EncoderDecoder`.

    Raises:
        ValueError: if the scales, the crop size and the feature scale do not fit together, the head is no HRDA head, or
            there is an auxiliary head.
    """
    OPTIONS = dict(
        auxiliary_head=NONE, scales=list_of(POSITIVE), hr_crop_size=SIZE | NONE, crop_coord_divisible=COUNT,
        feature_scale=POSITIVE | one_of(['all']))

    def __init__(self,
                 decode_head: dict[str, Any],
                 scales: Sequence[float] = (1, ),
                 hr_crop_size: tuple[int, int] | None = None,
                 hr_slide_inference: bool = True,
                 hr_slide_overlapping: bool = True,
                 crop_coord_divisible: int = 1,
                 blur_hr_crop: bool = False,
                 feature_scale: float | str = 1,
                 auxiliary_head: None = None,
                 **kwargs: Any) -> None:
        scales = sorted(scales)
        _check(decode_head, scales, hr_crop_size, feature_scale, auxiliary_head)
        own = {key: value for key, value in decode_head.items() if key not in DERIVED}
        super().__init__(decode_head={**own, 'scales': scales}, **kwargs)
        self.scales, self.hr_crop_size = scales, hr_crop_size and tuple(hr_crop_size)
        self.context_scale = scales[0]
        self.hr_slide_inference, self.hr_slide_overlapping = hr_slide_inference, hr_slide_overlapping
        self.crop_coord_divisible, self.blur_hr_crop = crop_coord_divisible, blur_hr_crop
        self.chosen = tuple(range(len(scales))) if feature_scale == 'all' else (scales.index(feature_scale), )

    # what the detail shows

    def draw_box(self, size: Sequence[int], rng: np.random.RandomState) -> Box | None:
        """The (y1, y2, x1, x2) of a random detail crop in images of ``size`` (H, W); None without ``hr_crop_size``.

        Raises:
            ValueError: if the image does not leave room for the crop and its offsets.
        """
        if self.hr_crop_size is None:
            return None
        margins = [side - crop for side, crop in zip(size, self.hr_crop_size)]
        step = self.crop_coord_divisible
        if margins == [0, 0]:
            return 0, size[0], 0, size[1]
        if min(margins) + 1 < step or min(margins) < 0:
            raise ValueError(
                f'hr_crop_size={self.hr_crop_size} leaves {margins} pixels of training images {tuple(size)}, but '
                f'crop_coord_divisible={step} needs none in both directions or at least {max(step - 1, 0)} in each: '
                'change hr_crop_size, crop_coord_divisible or the crop size of the pipeline')
        y, x = (int(rng.randint(0, (margin + 1) // step)) * step for margin in margins)
        return y, y + self.hr_crop_size[0], x, x + self.hr_crop_size[1]

    def windows(self, size: tuple[int, int]) -> tuple[Box, ...]:
        """Sliding detail windows of images of ``size`` (H, W); none if the detail is seen as a whole."""
        if self.hr_crop_size is None or not self.hr_slide_inference:
            return ()
        stride = tuple(side // 2 for side in self.hr_crop_size) if self.hr_slide_overlapping else self.hr_crop_size
        return tuple(window_boxes(size, self.hr_crop_size, stride))

    # encoding

    def encode(self, img: Tensor, box: Box | None = None) -> HRDAFeatures:
        """Feature maps of normalised images [B, 3, H, W].

        Args:
            img: the images.
            box: (y1, y2, x1, x2) of the detail crop; None draws one from numpy's global generator while training, and
                slides in evaluation.
        """
        if box is None and self.training:
            box = self.draw_box(tuple(img.shape[-2:]), np.random)
            return self._encode(img, box, ())
        return self._encode(img, box, self.windows(tuple(img.shape[-2:])) if box is None else ())

    def reference_features(self, img: Tensor, features: HRDAFeatures) -> HRDAFeatures:
        """The compared scales of the same images, the detail of the same crop; see :meth:`HRDAFeatures.compared`."""
        return self._encode(img, features.box, features.windows, self.scales[:self.chosen[-1] + 1])

    def _encode(self, img: Tensor, box: Box | None, windows: tuple[Box, ...],
                scales: Sequence[float] | None = None) -> HRDAFeatures:
        scales = scales or self.scales
        context, detail_maps = self.extract_feat(self._scaled(img, scales[0])), []
        if len(scales) == 2:
            detail, boxes = self._scaled(img, scales[1]), windows if box is None else (box, )
            detail_maps = self._crop_features(detail, boxes) if boxes else self.extract_feat(detail)
        return HRDAFeatures([*context, *detail_maps], tuple(img.shape[-2:]), len(context), box, windows, self.chosen)

    def _scaled(self, img: Tensor, scale: float) -> Tensor:
        if scale != 1:
            return self._resized(img, [int(side * scale) for side in img.shape[-2:]])
        if self.blur_hr_crop:
            return self._resized(self._scaled(img, 0.5), img.shape[-2:])
        return img

    def _resized(self, img: Tensor, size: Sequence[int]) -> Tensor:
        return resize(img, tuple(size), align_corners=self.align_corners)

    def _crop_features(self, detail: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """Maps [n B, C_i, h_i, w_i] of n crops of images [B, 3, H, W]."""
        crops = cut(detail, boxes)
        size = len(crops) if self.training else CROPS_PER_CALL
        return in_parts(lambda part: self.extract_feat(part[0]), [crops], size)

    # decoding

    def decode(self, features: HRDAFeatures) -> HRDADecoded:
        """Decode and fuse the scales."""
        return HRDADecoded(self.decode_head(features), features.size, box=features.box)

    def decode_image(self, img: Tensor) -> HRDADecoded:
        """Logits and embedding of normalised images [B, 3, H, W], the detail in windows, also while training."""
        return self.decode(self._encode(img, None, self.windows(tuple(img.shape[-2:]))))

    def losses(self, decoded: HRDADecoded, label: Tensor, weight: Tensor | None = None) -> Losses:
        """Losses and accuracies by log name, for labels [B, H, W] and pixel weights [B, H, W].

        Returns:
            ``decode.loss_seg`` and ``decode.acc_seg`` (percent), and those of ``decode.lr.`` and ``decode.hr.`` if they
            have a share in the loss. The context's loss is that of (1 - attention) times its logits, as published.
        """
        losses = self.decode_head.losses(decoded.head, label, weight, self.upsampled(decoded), decoded.box)
        return losses.prefixed('decode.')

    # inference

    def logits(self, img: Tensor) -> Tensor:
        """Logits [B, C, H, W]; detail windows that overlapping windows of the image share are computed once."""
        if self.test_cfg['mode'] == 'whole' or self.training or self.blur_hr_crop or len(self.scales) == 1:
            return super().logits(img)
        size = tuple(img.shape[-2:])
        outer = window_boxes(size, tuple(self.test_cfg['crop_size']), tuple(self.test_cfg['stride']))
        y1, y2, x1, x2 = outer[0]
        window_size = (y2 - y1, x2 - x1)
        inner = self.windows(window_size)
        if not inner:
            return super().logits(img)
        wanted = {(window, box): _moved(window, box) for box in outer for window in inner}
        distinct = list(dict.fromkeys(wanted.values()))
        details = dict(zip(distinct, self.decode_head.detail(self._crop_features(img, distinct)).chunk(len(distinct))))

        def fused(group: list[Box]) -> Tensor:
            maps = self.extract_feat(self._scaled(cut(img, group), self.scales[0]))
            features = HRDAFeatures(maps, window_size, len(maps), windows=inner)
            detail = torch.cat([details[wanted[window, box]] for window in inner for box in group])
            output = self.decode_head.fuse(features, self.decode_head.head(maps), detail)
            return self.decode_head.upsampled(output.logits, window_size)

        return average_windows(fused, size, outer, self.test_cfg.get('batched_slide', False))

    @torch.no_grad()
    def inference(self, img: Tensor, metas: list[Meta], rescale: bool = True) -> Tensor:
        """See :meth:`BaseSegmentor.inference`; with ``debug_output_attention`` the attention [B, 1, h, w] in 0..1."""
        if self.decode_head.debug_output_attention:
            return self.original_logits(img, metas, rescale)
        return super().inference(img, metas, rescale)

    @torch.no_grad()
    def predict(self, imgs: list[Tensor], metas: list[list[Meta]], rescale: bool = True) -> Tensor:
        """See :meth:`BaseSegmentor.predict`; with ``debug_output_attention`` the attention, float [B, h, w] in 0..1."""
        if self.decode_head.debug_output_attention:
            maps = [self.inference(img, meta, rescale) for img, meta in zip(imgs, metas)]
            return torch.stack(maps).mean(dim=0).squeeze(1)
        return super().predict(imgs, metas, rescale)


def _moved(window: Box, box: Box) -> Box:
    """A window of a window ``box`` as a window of the image."""
    y, x = box[0], box[2]
    return window[0] + y, window[1] + y, window[2] + x, window[3] + x


def _check(decode_head: dict[str, Any], scales: list[float], crop: Any, feature_scale: float | str,
           auxiliary_head: Any) -> None:
    """Refuse what does not fit together."""
    if 'single_scale_head' not in decode_head:
        raise ValueError(f"HRDAEncoderDecoder has a {decode_head.get('type')} as decode head: set decode_head.type to "
                         "HRDAHead and decode_head.single_scale_head to the head's type")
    if auxiliary_head is not None:
        raise ValueError('HRDAEncoderDecoder has no auxiliary heads: remove auxiliary_head')
    if not 1 <= len(scales) <= 2 or scales[0] <= 0:
        raise ValueError(f'scales={scales}: HRDA has one or two positive scales')
    if crop is not None and (len(scales) == 1 or scales[1] != 1):
        raise ValueError(f'hr_crop_size={tuple(crop)} crops the image at scale 1: add it as the larger of two scales, '
                         f'or remove hr_crop_size (scales={scales})')
    if feature_scale != 'all' and feature_scale not in scales:
        raise ValueError(f"feature_scale={feature_scale!r} must be 'all' or one of scales={scales}")
