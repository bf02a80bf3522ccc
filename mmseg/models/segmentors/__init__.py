"""Segmentors: importing them registers them."""
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder

__all__ = ['BaseSegmentor', 'EncoderDecoder']
