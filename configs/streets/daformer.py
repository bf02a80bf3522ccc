# DAFormer's training: DACS with rare class sampling and the feature distance on persons and vehicles. A teacher of
# alpha 0.999, as published for 40,000 iterations, follows too late here (docs/results.md), so alpha stays at 0.99.
_base_ = ['dacs.py']
uda = dict(
    imnet_feature_dist_lambda=0.005,
    imnet_feature_dist_classes=[5, 6],
    imnet_feature_dist_scale_min_ratio=0.75)
data = dict(train=dict(rare_class_sampling=dict(min_pixels=100, class_temp=0.1, min_crop_ratio=0.5)))
