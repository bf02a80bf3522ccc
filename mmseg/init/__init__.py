"""A config for data of one's own, from the folders alone."""
from mmseg.init.command import main

__all__ = ['main']
