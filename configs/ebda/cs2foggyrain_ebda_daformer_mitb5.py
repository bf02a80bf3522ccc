# EBDA on Cityscapes -> Cityscapes in synthetic fog and rain (experiment 60). Data: docs/datasets.md.
# Rain has 36 variants of each frame, fog 3: data.train.target.max_variants_per_frame=3 balances them.
_base_ = ['common.py', '../_base_/datasets/uda_cityscapes_to_foggyrain_512x512.py']
data = dict(
    samples_per_gpu=1,
    workers_per_gpu=8,
    train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
