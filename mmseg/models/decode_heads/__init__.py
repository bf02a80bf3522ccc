"""Decode heads: importing them registers them."""
from mmseg.models.decode_heads.daformer_head import DAFormerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.segformer_head import SegFormerHead

__all__ = ['BaseDecodeHead', 'DAFormerHead', 'SegFormerHead']
