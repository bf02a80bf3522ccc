# HRDA on Synthia -> Cityscapes (experiment 40).
_base_ = ['common.py', '../_base_/datasets/uda_synthiaHR_to_cityscapesHR_1024x1024.py']
# The margins without pseudo labels are those of Cityscapes, as for GTA.
data = dict(
    workers_per_gpu=1,
    train=dict(
        target=dict(crop_pseudo_margins=[30, 240, 30, 30]),
        rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=2.0)))
