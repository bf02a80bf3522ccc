"""What a segmentor hands around: feature maps and decoded maps, as plain values. Nothing is stored on a module."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from torch import Tensor


class HeadOutput(NamedTuple):
    """What a decode head returns.

    Attributes:
        logits: [B, num_classes, h, w] at head resolution.
        embedding: [B, D, h, w], the fused map before dropout and classifier; None if the head has none.
        parts: further logits that have losses of their own, by log prefix (DANet's branches).
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

    def compared(self) -> list[tuple[Tensor, tuple[int, int, int, int] | None]]:
        """The maps that a feature distance compares, each with the (y1, y2, x1, x2) box of the image that it covers.

        A plain segmentor compares the last level of the whole image (box None).
        """
        return [(self.maps[-1], None)]


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
