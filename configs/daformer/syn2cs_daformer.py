# DAFormer on Synthia -> Cityscapes (experiment 7).
_base_ = ['common.py', '../_base_/datasets/uda_synthia_to_cityscapes_512x512.py']
data = dict(train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
# The margins without pseudo labels are those of Cityscapes, as for GTA.
uda = dict(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=120)
