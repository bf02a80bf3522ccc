# DAFormer's training, from the game to the camera: self-training on mixed images, rare class sampling, feature distance
# on things.
_base_ = ['common.py', '../_base_/uda/dacs.py']
uda = dict(
    imnet_feature_dist_lambda=0.005,
    imnet_feature_dist_classes=[6, 7, 11, 12, 13, 14, 15, 16, 17, 18],
    imnet_feature_dist_scale_min_ratio=0.75)
data = dict(
    train=dict(
        type='UDADataset', source={{_base_.source}}, target={{_base_.target}},
        rare_class_sampling=dict(min_pixels=100, class_temp=0.1, min_crop_ratio=0.5)))
evaluation = dict(model=['student', 'teacher'])
