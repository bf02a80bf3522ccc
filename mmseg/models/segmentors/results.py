"""What a segmentor hands around: feature maps and decoded maps, as plain values. Nothing is stored on a module."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

Box = tuple[int, int, int, int]  # (y1, y2, x1, x2) in pixels


class HeadOutput(NamedTuple):
    """What a decode head returns.

    Attributes:
        logits: [B, num_classes, h, w] at head resolution.
        embedding: [B, D, h, w], the fused map before dropout and classifier; None if the head has none.
        parts: further logits that have losses of their own, by log prefix (DANet's branches, HRDA's 'lr' and 'hr').
    """
    logits: Tensor
    embedding: Tensor | None = None
    parts: dict[str, Tensor] = {}  # noqa: RUF012 (never written to)


@dataclass(frozen=True)
class Features:
    """Encoder output of a plain segmentor.

    Attributes:
        maps: one [B, C_i, h_i, w_i] map per backbone level, high resolution first.
        size: (height, width) of the image.
    """
    maps: list[Tensor]
    size: tuple[int, int]

    def replace(self, maps: list[Tensor]) -> Features:
        """The same features with other maps (for MRM, which rebuilds hidden cells)."""
        return replace(self, maps=list(maps))

    def cut(self) -> Features:
        """The same features without their graph: what is computed from them ends in gradients of these maps."""
        return self.replace([x.detach().requires_grad_(x.requires_grad) for x in self.maps])

    def backward(self, cut: Features) -> None:
        """Back-propagate the gradients that :meth:`cut` features have collected into these features' graph."""
        reached = [(x, leaf.grad) for x, leaf in zip(self.maps, cut.maps) if leaf.grad is not None]
        torch.autograd.backward([x for x, _ in reached], [grad for _, grad in reached])

    def by_scale(self) -> list[list[Tensor]]:
        """``maps`` as one list of levels per image scale; there is one scale here."""
        return [self.maps]

    def compared(self) -> list[tuple[Tensor, Box | None]]:
        """The maps that a feature distance compares, each with the (y1, y2, x1, x2) box of the image that it covers.

        A plain segmentor compares the last level of the whole image (box None).
        """
        return [(self.maps[-1], None)]


@dataclass(frozen=True)
class HRDAFeatures(Features):
    """Encoder output of HRDA (Hoyer et al., 2022, section 3): the small-scale context, then the large-scale detail.

    Attributes:
        maps: the levels of the context, then those of the detail, if there are two scales. Those of detail windows are
            stacked along the batch, [n B, C_i, h_i, w_i]: windows in front, images within.
        levels: how many maps each scale has.
        box: the random crop of the image that the detail shows (training), the same one for all images.
        windows: the sliding windows of the image that the detail shows (evaluation, teacher). With neither, the
            detail shows the whole image.
        chosen: the scales that a feature distance compares, 0 (context) or 1 (detail).
    """
    levels: int
    box: Box | None = None
    windows: tuple[Box, ...] = ()
    chosen: tuple[int, ...] = (0, )

    @property
    def context(self) -> list[Tensor]:
        """Maps of the whole image at the smaller scale, [B, C_i, h_i, w_i]."""
        return self.maps[:self.levels]

    @property
    def detail(self) -> list[Tensor]:
        """Maps at the larger scale; empty if there is only one."""
        return self.maps[self.levels:]

    def by_scale(self) -> list[list[Tensor]]:
        """``maps`` as one list of levels per image scale: context and, if there is one, detail."""
        return [self.context, self.detail] if self.detail else [self.context]

    def compared(self) -> list[tuple[Tensor, Box | None]]:
        """The last levels of the scales that a feature distance compares, the detail's with its box."""
        scales = self.by_scale()
        return [(scales[i][-1], self.box if i == 1 else None) for i in self.chosen]


@dataclass
class Decoded:
    """Decoder output.

    Attributes:
        head: what the decode head returned.
        size: (height, width) of the image.
        auxiliary: outputs of the auxiliary heads, by log prefix ('aux' or 'aux_0', ...).
        full: cache of the image-size logits; ask ``segmentor.upsampled(decoded)`` for them.
    """
    head: HeadOutput
    size: tuple[int, int]
    auxiliary: dict[str, HeadOutput] = field(default_factory=dict)
    full: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """[B, num_classes, h, w] at head resolution."""
        return self.head.logits

    @property
    def embedding(self) -> Tensor | None:
        """[B, D, h, w] before dropout and classifier."""
        return self.head.embedding


@dataclass
class HRDADecoded(Decoded):
    """Decoder output of HRDA: ``logits`` are fused of both scales, ``embedding`` is the context's.

    Attributes:
        box: the random crop of the image that ``hr`` covers; None: it covers the whole image.
    """
    box: Box | None = None

    @property
    def lr(self) -> Tensor | None:
        """Context logits times (1 - attention), [B, num_classes, h, w]; None with one scale."""
        return self.head.parts.get('lr')

    @property
    def hr(self) -> Tensor | None:
        """Detail logits [B, num_classes, h, w] of the box or the image; None with one scale."""
        return self.head.parts.get('hr')


@dataclass(frozen=True)
class ClassScores:
    """What a segmentor says about each pixel of evaluated images; its classes, probabilities and confidence follow.

    Attributes:
        values: [B, C, h, w] logits, or the sums of the probabilities of several augmentations.
        augmentations: how many there are.
    """
    values: Tensor
    augmentations: int = 1

    def ids(self) -> Tensor:
        """The best class of each pixel, int64 [B, h, w]."""
        return self.values.max(dim=1).indices

    def probabilities(self) -> Tensor:
        """[B, C, h, w], 0..1; those of several augmentations are averaged."""
        return self.values.softmax(dim=1) if self.augmentations == 1 else self.values / self.augmentations

    def confidence(self, step: int = 1) -> Tensor:
        """The probability of the best class, [B, h, w], of every ``step``-th pixel in both directions."""
        return replace(self, values=self.values[..., ::step, ::step]).probabilities().amax(dim=1)

    def of_image(self, index: int) -> ClassScores:
        """Those of one image, as a batch of one."""
        return replace(self, values=self.values[index:index + 1])
