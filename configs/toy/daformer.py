# DAFormer's training without its feature distance, which needs ImageNet weights: DACS with rare class sampling and no
# pseudo labels on the bonnet. A teacher of alpha 0.999 averages over a thousand iterations, a third of this training:
# alpha stays at 0.99.
_base_ = ['dacs.py']
uda = dict(pseudo_weight_ignore_bottom=9)
data = dict(train=dict(rare_class_sampling=dict(min_pixels=50, class_temp=0.1, min_crop_ratio=0.5)))
