# HRDA on Cityscapes -> Dark Zurich (experiment 49).
_base_ = ['common.py', '../_base_/datasets/uda_cityscapesHR_to_darkzurichHR_1024x1024.py']
# No margins: pseudo labels count wherever the crop lies.
data = dict(
    workers_per_gpu=1,
    train=dict(
        rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=2.0)))
