"""Unsupervised domain adaptation for semantic segmentation."""
__version__ = '1.0.0'
