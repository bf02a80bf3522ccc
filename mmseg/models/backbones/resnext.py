"""ResNeXt (Xie et al., 2017): ResNet with grouped 3x3 convolutions."""
from __future__ import annotations

from typing import Any

from mmseg.models.backbones.resnet import Bottleneck, ResNet
from mmseg.registry import BACKBONES
from mmseg.utils.kinds import COUNT, one_of


@BACKBONES.register_module()
class ResNeXt(ResNet):
    """ResNeXt.

    Args:
        depth: number of layers: 50, 101 or 152.
        groups: of the 3x3 convolutions, e.g. 32.
        base_width: channels of a group in the first stage.
        zero_init_residual: see :class:`ResNet`; off, since the published program reaches no block but ResNet's own.
        kwargs: see :class:`ResNet`.
    """
    ARCHITECTURES = {depth: arch for depth, arch in ResNet.ARCHITECTURES.items() if arch[0] is Bottleneck}
    OPTIONS = dict(depth=one_of(ARCHITECTURES), groups=COUNT, base_width=COUNT)

    def __init__(self, groups: int = 1, base_width: int = 4, zero_init_residual: bool = False, **kwargs: Any) -> None:
        self.groups, self.base_width = groups, base_width  # before the blocks are built
        super().__init__(zero_init_residual=zero_init_residual, **kwargs)

    def block_options(self) -> dict[str, Any]:
        """Arguments of all blocks."""
        return dict(super().block_options(), groups=self.groups, base_width=self.base_width,
                    base_channels=self.base_channels)
