# DIDA on Synthia -> Cityscapes (experiment 71).
_base_ = ['common.py', '../_base_/datasets/uda_synthia_to_cityscapes_512x512.py']
seed = 2
data = dict(train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
# Synthia has no terrain, truck and train (9, 14, 16), so the bank has no rows for them, like the published one. Rarest
# first.
uda = dict(instance_bank=dict(classes=[18, 12, 17, 7, 6, 11, 15, 4, 5, 3, 13, 8, 1, 10, 2, 0]))
