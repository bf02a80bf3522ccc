# DAFormer's training without its feature distance, which needs ImageNet weights: DACS with a slower teacher, rare class
# sampling and no pseudo labels on the bonnet.
_base_ = ['dacs.py']
uda = dict(alpha=0.999, pseudo_weight_ignore_bottom=9)
data = dict(train=dict(rare_class_sampling=dict(min_pixels=50, class_temp=0.1, min_crop_ratio=0.5)))
