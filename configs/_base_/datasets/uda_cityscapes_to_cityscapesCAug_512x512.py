# The name that MIC gives to this pair; both domains are augmented, so it is the same file under two names.
_base_ = 'uda_cityscapesCAug_to_cityscapes_512x512.py'
