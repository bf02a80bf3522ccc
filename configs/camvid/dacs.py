# DACS: self-training on class-mixed images, from day to dusk.
_base_ = ['common.py', '../_base_/datasets/uda_camvid_day_to_dusk.py', '../_base_/uda/dacs.py']
