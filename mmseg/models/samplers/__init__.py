"""Pixel samplers: importing them registers them."""
from mmseg.models.samplers.ohem_pixel_sampler import OHEMPixelSampler

__all__ = ['OHEMPixelSampler']
