# DACS with the ImageNet feature distance on the countable classes.
_base_ = 'dacs_fd.py'
uda = dict(
    # traffic light and sign, person, rider and the vehicles, as train ids of Cityscapes
    imnet_feature_dist_classes=[6, 7, 11, 12, 13, 14, 15, 16, 17, 18],
    imnet_feature_dist_scale_min_ratio=0.75)
