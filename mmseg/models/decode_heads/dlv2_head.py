"""DeepLabV2's classifier (Chen et al., 2018, section 3.2)."""
from __future__ import annotations

from typing import Any

from mmengine.model import initialize
from torch import Tensor

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.kinds import INITIALISATION
from mmseg.models.layers import aspp_branches
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT, FIXED, list_of


@HEADS.register_module()
class DLV2Head(BaseDecodeHead):
    """Sum of parallel dilated 3x3 convolutions, from the backbone's map straight to the classes.

    There is nothing between features and classifier, so the selected map is the embedding, and dropout, norm and
    ``conv_seg`` do not exist.

    Args:
        dilations: one convolution each; the adaptation papers use (6, 12).
        init_cfg: MMEngine's initialisation; by default N(0, 0.01) and bias 0.
        kwargs: of :class:`BaseDecodeHead`.

    Raises:
        ValueError: if channels, dropout_ratio or norm_cfg is given.
    """
    OPTIONS = dict(
        **dict.fromkeys(('channels', 'dropout_ratio', 'norm_cfg'), FIXED), dilations=list_of(COUNT),
        init_cfg=INITIALISATION)

    def __init__(self, dilations: tuple[int, ...] = (6, 12, 18, 24), init_cfg: dict[str, Any] | None = None,
                 **kwargs: Any) -> None:
        foreign = sorted({'channels', 'dropout_ratio', 'norm_cfg'} & set(kwargs))
        if foreign:
            raise ValueError(f'DLV2Head has no hidden layer: remove {", ".join(foreign)} from its config')
        super().__init__(channels=1, dropout_ratio=0, **kwargs)
        del self.conv_seg
        self.aspp_modules = aspp_branches(
            self.in_channels, self.num_classes, dilations, sep=False, conv_cfg=self.conv_cfg, act_cfg=None)
        initialize(self, init_cfg or dict(type='Normal', std=0.01, override=dict(name='aspp_modules')))

    @property
    def embedding_channels(self) -> int:
        """Those of the selected map, which is the embedding."""
        return self.in_channels

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """The selected map [B, in_channels, h, w] itself."""
        return self.select(feats)

    def classifier(self, embedding: Tensor) -> Tensor:
        """Classify [B, in_channels, h, w]: logits [B, num_classes, h, w]."""
        return sum(branch(embedding) for branch in self.aspp_modules)
