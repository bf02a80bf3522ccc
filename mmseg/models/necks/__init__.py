"""Necks: importing them registers them."""
from mmseg.models.necks.segformer_adapter import SegFormerAdapter

__all__ = ['SegFormerAdapter']
