# DAFormer on Cityscapes -> ACDC (experiment 8).
_base_ = ['common.py', '../_base_/datasets/uda_cityscapes_to_acdc_512x512.py']
data = dict(train=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)))
# Margins without pseudo labels, made for Cityscapes: DAFormer was published with them for this target, too, so they
# stay here to repeat its numbers. HRDA and MIC were published without; loading this file warns of them.
uda = dict(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=120)
