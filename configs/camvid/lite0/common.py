# What all CamVid runs from ImageNet weights share, from day to dusk: data, network, optimizer, length, evaluation. They
# run on one CPU core. The runs of the folder above start from random weights.
_base_ = '../../_base_/lite0.py'
model = dict(decode_head=dict(num_classes=11))
# Twice the rate of the short trainings, at their length: DAFormer has stopped rising after a thousand iterations, and
# falls in two thousand (docs/results.md).
optimizer = dict(lr=2e-4)

# Steps of the pipelines.
load, flip, finish, shown = _base_.load, _base_.flip, _base_.finish, _base_.shown

resize = dict(type='Resize', img_scale=(240, 180))
day_crop = [resize, dict(type='RandomCrop', crop_size=(160, 160), cat_max_ratio=0.75), flip]
dusk_crop = [resize, dict(type='RandomCrop', crop_size=(160, 160)), flip]
day_train_pipeline = [*load, *day_crop, *finish]
photometric_train_pipeline = [*load, *day_crop, dict(type='PhotoMetricDistortion'), *finish]
dusk_train_pipeline = [*load, *dusk_crop, *finish]
test_pipeline = [load[0], dict(type='MultiScaleFlipAug', img_scale=(240, 180), flip=False, transforms=shown)]
# For HRDA: everything at twice the size.
large_resize = dict(type='Resize', img_scale=(480, 360))
large_day_crop = [large_resize, dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75), flip]
large_dusk_crop = [large_resize, dict(type='RandomCrop', crop_size=(320, 320)), flip]
large_day_train_pipeline = [*load, *large_day_crop, *finish]
large_dusk_train_pipeline = [*load, *large_dusk_crop, *finish]
large_test_pipeline = [load[0], dict(type='MultiScaleFlipAug', img_scale=(480, 360), flip=False, transforms=shown)]

camvid = dict(type='CamVidDataset', data_root='data/camvid')
# Day and dusk are named by the configs that train on them; all validate at dusk.
day = dict(camvid, img_dir='images/day_train', ann_dir='labels/day_train', pipeline=day_train_pipeline)
dusk = dict(camvid, img_dir='images/dusk_train', ann_dir='labels/dusk_train', pipeline=dusk_train_pipeline)
val = dict(camvid, img_dir='images/dusk_val', ann_dir='labels/dusk_val', pipeline=test_pipeline)
data = dict(samples_per_gpu=4, workers_per_gpu=0, val=val, test=val)
