"""Losses: importing them registers them."""
from mmseg.models.losses.accuracy import accuracy
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss
from mmseg.models.losses.dice_loss import DiceLoss
from mmseg.models.losses.focal_loss import FocalLoss

__all__ = ['CrossEntropyLoss', 'DiceLoss', 'FocalLoss', 'accuracy']
