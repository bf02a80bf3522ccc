# Another name of cityscapes_half_512x512.py.
_base_ = 'cityscapes_half_512x512.py'
