# DIDA on GTA -> Cityscapes (experiment 70): what run_config.sh trains.
_base_ = ['common.py', '../_base_/datasets/uda_gta_to_cityscapes_512x512.py']
data = dict(train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
