"""Decode heads: importing them registers them."""
from mmseg.models.decode_heads.aspp_head import ASPPHead
from mmseg.models.decode_heads.da_head import DAHead
from mmseg.models.decode_heads.daformer_head import DAFormerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.dlv2_head import DLV2Head
from mmseg.models.decode_heads.fcn_head import FCNHead
from mmseg.models.decode_heads.hrda_head import HRDAHead
from mmseg.models.decode_heads.isa_head import ISAHead
from mmseg.models.decode_heads.psp_head import PSPHead
from mmseg.models.decode_heads.segformer_head import SegFormerHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPHead
from mmseg.models.decode_heads.uper_head import UPerHead

__all__ = [
    'ASPPHead', 'BaseDecodeHead', 'DAFormerHead', 'DAHead', 'DLV2Head', 'DepthwiseSeparableASPPHead', 'FCNHead',
    'HRDAHead', 'ISAHead', 'PSPHead', 'SegFormerHead', 'UPerHead'
]
