# DAFormer's training without its feature distance, which needs ImageNet weights: DACS with rare class sampling. In a
# thousand iterations a teacher of alpha 0.999 would still average over the first ones, so alpha stays at 0.99.
_base_ = ['dacs.py']
data = dict(train=dict(rare_class_sampling=dict(min_pixels=100, class_temp=0.1, min_crop_ratio=0.5)))
