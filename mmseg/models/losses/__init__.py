"""Losses: importing them registers them."""
from mmseg.models.losses.accuracy import accuracy
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss

__all__ = ['CrossEntropyLoss', 'accuracy']
