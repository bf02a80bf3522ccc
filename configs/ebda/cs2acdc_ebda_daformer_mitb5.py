# EBDA on Cityscapes -> ACDC (experiment 60).
_base_ = ['common.py', '../_base_/datasets/uda_cityscapes_to_acdc_512x512.py']
data = dict(
    samples_per_gpu=1,
    workers_per_gpu=8,
    train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
