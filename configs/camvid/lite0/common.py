# What all CamVid runs from ImageNet weights share, from day to dusk: data, network, optimizer, length, evaluation. They
# run on one CPU core. The runs of the folder above start from random weights.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/daformer_conv1_lite0_ch64.py',
    '../../_base_/schedules/short_adamw.py',
]
seed = 0
model = dict(decode_head=dict(num_classes=11))
log_config = dict(interval=50, img_interval=500)

# Steps of the pipelines.
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
flip = dict(type='RandomFlip', prob=0.5)
normalize = dict(type='Normalize', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True)
finish = [normalize, dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
shown = [
    dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), normalize,
    dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]

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
