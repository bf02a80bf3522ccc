"""Self-attention over the positions of a map (DANet's position attention, ISANet's relations)."""
from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers.conv_module import ConvModule
from mmseg.models.layers.tokens import to_map, to_tokens


class SelfAttentionBlock(nn.Module):
    """Single-head attention whose keys, queries and values are 1x1 convolutions of the same map.

    Args:
        in_channels: channels of the map.
        channels: channels of keys and queries.
        out_channels: channels of the values, and so of the result.
        key_query_num_convs: convolutions in front of keys and queries; None: one plain convolution each.
        matmul_norm: scale the products by ``channels ** -0.5``.
        norm_cfg, act_cfg: of the key and query convolutions, unless they are plain.
    """

    def __init__(self,
                 in_channels: int,
                 channels: int,
                 out_channels: int,
                 *,
                 key_query_num_convs: int | None = None,
                 matmul_norm: bool = True,
                 norm_cfg: dict[str, Any] | None = None,
                 act_cfg: dict[str, Any] | None = None) -> None:
        super().__init__()

        def project() -> nn.Module:
            if key_query_num_convs is None:
                return nn.Conv2d(in_channels, channels, 1)
            convs = [
                ConvModule(in_channels if i == 0 else channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
                for i in range(key_query_num_convs)
            ]
            return convs[0] if len(convs) == 1 else nn.Sequential(*convs)

        self.scale = channels**-0.5 if matmul_norm else 1.
        self.key_project = project()
        self.query_project = project()
        self.value_project = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, h, w] to [B, out_channels, h, w]."""
        query, key, value = (to_tokens(p(x)) for p in (self.query_project, self.key_project, self.value_project))
        return to_map(F.scaled_dot_product_attention(query, key, value, scale=self.scale), x.shape[-2:])
