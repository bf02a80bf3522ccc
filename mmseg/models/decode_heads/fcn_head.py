"""Plain convolutions as a decoder (after Long et al., 2015); the usual auxiliary head."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.layers import ConvModule
from mmseg.registry import HEADS
from mmseg.utils.kinds import COUNT


@HEADS.register_module()
class FCNHead(BaseDecodeHead):
    """A chain of convolutions, joined with its input.

    Args:
        num_convs: length of the chain; 0 passes the input on, whose channels have to be ``channels`` then.
        kernel_size: of all convolutions.
        concat_input: fuse the chain's result and its input by one more convolution.
        dilation: of the chain.
        kwargs: of :class:`BaseDecodeHead`.

    Raises:
        ValueError: if there are no convolutions and the channels differ.
    """
    OPTIONS = dict(kernel_size=COUNT, dilation=COUNT)

    def __init__(self, num_convs: int = 2, kernel_size: int = 3, concat_input: bool = True, dilation: int = 1,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_convs == 0 and self.in_channels != self.channels:
            raise ValueError(f'FCNHead without convolutions needs channels={self.in_channels}, as many as come in')
        half = kernel_size // 2
        self.convs = nn.Sequential(*(
            ConvModule(self.channels if i else self.in_channels, self.channels, kernel_size, padding=half * dilation,
                       dilation=dilation, **self.conv_options) for i in range(num_convs)))
        self.conv_cat = None
        if concat_input:
            self.conv_cat = ConvModule(
                self.in_channels + self.channels, self.channels, kernel_size, padding=half, **self.conv_options)

    def forward_embedding(self, feats: list[Tensor]) -> Tensor:
        """Convolve the selected map: [B, channels, h, w]."""
        x = self.select(feats)
        out = self.convs(x)
        return out if self.conv_cat is None else self.conv_cat(torch.cat([x, out], dim=1))
