"""Unsupervised domain adaptation for semantic segmentation."""
from mmseg.ownership import DISTRIBUTION, warn_of_a_second_owner

__version__ = '1.0.0'
__all__ = ['DISTRIBUTION']

warn_of_a_second_owner()
