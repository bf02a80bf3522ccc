"""What all segmentors share: training, inference and the conventions of mmsegmentation 0.16."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg.models.layers import resize
from mmseg.models.named_losses import Losses
from mmseg.models.preprocess import check_labels, prepare
from mmseg.models.segmentors.results import ClassScores, Decoded, Features
from mmseg.models.segmentors.sliding import slide
from mmseg.models.trainable import Trainable
from mmseg.visualization.panels import Panel

Meta = dict[str, Any]


class BaseSegmentor(Trainable):
    """Base of segmentors.

    Attributes:
        num_classes, align_corners: of the decode head.
        CLASSES, PALETTE: class names and colours, from the data set or a checkpoint.
        context_scale: factor from the image to the size at which the network sees all of it at once.
        embedding_channels: channels D of the decode head's embedding.
        levels_read: indices of the maps of a scale that decoders read; negative ones count from the last.
        train_cfg, test_cfg: the model section's; ``test_cfg`` has ``mode`` 'whole' or 'slide', for the latter
            ``crop_size`` and ``stride`` (height, width), and maybe ``batched_slide``.
    """
    CLASSES: tuple[str, ...] | None = None
    PALETTE: list[list[int]] | None = None
    num_classes: int
    align_corners: bool
    context_scale: float = 1
    embedding_channels: int
    levels_read: tuple[int, ...]

    def __init__(self, train_cfg: dict[str, Any] | None = None, test_cfg: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.train_cfg, self.test_cfg = train_cfg or {}, test_cfg or dict(mode='whole')

    @abstractmethod
    def init_weights(self) -> None:
        """Load pretrained weights, if the config names any."""

    @abstractmethod
    def encode(self, img: Tensor, box: Any = None) -> Features:
        """Feature maps of normalised images [B, 3, H, W]."""

    @abstractmethod
    def decode(self, features: Features) -> Decoded:
        """Logits and embedding of feature maps."""

    @abstractmethod
    def losses(self, decoded: Decoded, label: Tensor, weight: Tensor | None = None) -> Losses:
        """Losses and accuracies by log name, for labels [B, H, W] and pixel weights [B, H, W]."""

    @abstractmethod
    def upsampled(self, decoded: Decoded) -> Tensor:
        """Logits [B, C, H, W] in fp32 at image size, computed once per ``decoded``."""

    @property
    def shared_weight(self) -> Tensor | None:
        """The last weight of the encoder that learns, through which the losses' gradients come; None: there is none."""
        return None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the predictions that :meth:`predictions` gives while training."""
        return ('main', )

    def predictions(self, decoded: Decoded) -> dict[str, Tensor]:
        """Logits [B, C, H, W] in fp32 at image size of all outputs: 'main' and those of auxiliary heads."""
        return {'main': self.upsampled(decoded)}

    def encode_decode(self, img: Tensor) -> Tensor:
        """Logits [B, C, H, W] in fp32 of normalised images [B, 3, H, W]."""
        return self.upsampled(self.decode_image(img))

    def draw_box(self, size: Sequence[int], rng: np.random.RandomState) -> Any:
        """The crop box that :meth:`encode` takes while training, for images of ``size`` (H, W); None: there is none."""
        return None

    def decode_image(self, img: Tensor) -> Decoded:
        """Logits and embedding of normalised images [B, 3, H, W], never from random crops: what a teacher computes."""
        return self.decode(self.encode(img))

    def loss(self, img: Tensor, label: Tensor, weight: Tensor | None = None) -> Losses:
        """Losses and accuracies of normalised images [B, 3, H, W]; see :meth:`losses`."""
        return self.losses(self.decode(self.encode(img)), label, weight)

    def reference_features(self, img: Tensor, features: Features) -> Features:
        """What this network, frozen, computes for the same images, to be compared with another's ``features``."""
        return self.encode(img)

    # training

    def networks(self) -> dict[str, BaseSegmentor]:
        """The one network there is, as the student."""
        return {'student': self}

    def train_step(self, batch: dict[str, Any], optim_wrapper: Any) -> Losses:
        """Plain supervised training: source-only or oracle. See :meth:`Trainable.train_step`."""
        check_labels(batch, self.num_classes)
        batch = prepare(batch, next(self.parameters()).device)
        torch.manual_seed(self.draws.integer('source branch'))  # dropout and drop path
        box = self.draw_box(tuple(batch['img'].shape[-2:]), self.draws.numpy('source crop box'))
        with optim_wrapper.optim_context(self):
            decoded = self.decode(self.encode(batch['img'], box))
            losses = self.losses(decoded, batch['gt_semantic_seg'])
            total = losses.total()
        optim_wrapper.zero_grad()
        optim_wrapper.backward(total)
        optim_wrapper.step()
        if self.capture:
            self.captured = [Panel('Image', 'image', batch['img']), Panel('Label', 'label', batch['gt_semantic_seg'])]
        self.advance()
        return losses.detached()

    # inference

    def logits(self, img: Tensor) -> Tensor:
        """Logits [B, C, H, W] of images [B, 3, H, W], whole or by sliding windows, as ``test_cfg`` says."""
        if self.test_cfg['mode'] == 'whole':
            return self.encode_decode(img)
        crop, stride = tuple(self.test_cfg['crop_size']), tuple(self.test_cfg['stride'])
        return slide(self.encode_decode, img, crop, stride, self.test_cfg.get('batched_slide', False))

    def original_logits(self, img: Tensor, metas: list[Meta], rescale: bool = True) -> Tensor:
        """Logits [B, C, h, w] at the images' original size (unless not ``rescale``), with a flip undone.

        Raises:
            ValueError: if the images of the batch differ in original size or flip.
        """
        first = metas[0]
        for meta in metas[1:]:
            if tuple(meta['ori_shape'][:2]) != tuple(first['ori_shape'][:2]) or meta.get('flip') != first.get('flip'):
                raise ValueError('images of one test batch must agree in original size and flip: '
                                 f'{first.get("filename")} and {meta.get("filename")} do not')
        logits = self.logits(img)
        if rescale:  # a second resize after the one to test size, as published
            logits = resize(logits, tuple(first['ori_shape'][:2]), align_corners=self.align_corners)
        if first.get('flip'):
            logits = logits.flip(dims=(3 if first.get('flip_direction', 'horizontal') == 'horizontal' else 2, ))
        return logits

    @torch.no_grad()
    def inference(self, img: Tensor, metas: list[Meta], rescale: bool = True) -> Tensor:
        """Class probabilities [B, C, h, w] at original size, flip undone.

        Args:
            img: [B, 3, H, W], normalised.
            metas: one per image, with ``ori_shape``, ``flip`` and ``flip_direction``.
            rescale: False keeps the size of ``img``.
        """
        return self.original_logits(img, metas, rescale).softmax(dim=1)

    @torch.no_grad()
    def predict(self, imgs: list[Tensor], metas: list[list[Meta]], rescale: bool = True) -> Tensor:
        """Class ids [B, h, w] int64 on the device; the probabilities of several augmentations are averaged.

        Args:
            imgs: per augmentation, [B, 3, H, W].
            metas: per augmentation, one dict per image.
            rescale: predict at original size.
        """
        return self.class_scores(imgs, metas, rescale).ids()

    @torch.no_grad()
    def class_scores(self, imgs: list[Tensor], metas: list[list[Meta]], rescale: bool = True) -> ClassScores:
        """What :meth:`predict` decides by; the arguments are the same."""
        if len(imgs) == 1:
            return ClassScores(self.original_logits(imgs[0], metas[0], rescale))
        total = self.inference(imgs[0], metas[0], rescale)
        for img, meta in zip(imgs[1:], metas[1:]):
            total += self.inference(img, meta, rescale)
        return ClassScores(total, len(imgs))

    # conventions of mmsegmentation 0.16

    def simple_test(self, img: Tensor, img_metas: list[Meta], rescale: bool = True) -> list[np.ndarray]:
        """Class ids of each image, as int64 arrays."""
        return list(self.predict([img], [img_metas], rescale).cpu().numpy())

    def aug_test(self, imgs: list[Tensor], img_metas: list[list[Meta]], rescale: bool = True) -> list[np.ndarray]:
        """Class ids of each image from several augmentations, as int64 arrays."""
        return list(self.predict(imgs, img_metas, rescale).cpu().numpy())

    def forward(self, img: Any, img_metas: Any, return_loss: bool = True, **kwargs: Any) -> Any:
        """Losses (``return_loss``) or predictions.

        Args:
            img: [B, 3, H, W] for losses; for predictions a list with one such tensor per augmentation.
            img_metas: accordingly a list of dicts, or a list of such lists.
            kwargs: ``gt_semantic_seg`` [B, 1, H, W] and ``seg_weight`` for losses, ``rescale`` for predictions.
        """
        if return_loss:
            return self.loss(img, kwargs['gt_semantic_seg'].squeeze(1), kwargs.get('seg_weight'))
        return self.aug_test(img, img_metas, **kwargs)
