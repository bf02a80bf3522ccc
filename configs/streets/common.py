# What all runs from CamVid (Cambridge) to Cityscapes (Germany) share: data, network, optimizer, length, evaluation.
# They run on one CPU core. docs/datasets.md says what the folders hold.
_base_ = '../_base_/lite0.py'
model = dict(decode_head=dict(num_classes=7))
# Twice the rate and four times the length of the short trainings: DAFormer is still rising after two thousand
# iterations, and source only hardly is (docs/results.md).
optimizer = dict(lr=2e-4)
runner = dict(max_iters=4000)
checkpoint_config = dict(interval=4000)
evaluation = dict(interval=500)

# Steps of the pipelines. Images of the target are stored as squares: their size here is that of the street.
load, flip, finish = _base_.load, _base_.flip, _base_.finish
shown = [dict(type='Resize', keep_ratio=False), *_base_.shown[1:]]

source_crop = [
    dict(type='Resize', img_scale=(240, 180)), dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=0.75), flip]
target_crop = [
    dict(type='Resize', img_scale=(256, 128), keep_ratio=False), dict(type='RandomCrop', crop_size=(128, 128)), flip]
source_train_pipeline = [*load, *source_crop, *finish]
photometric_train_pipeline = [*load, *source_crop, dict(type='PhotoMetricDistortion'), *finish]
target_train_pipeline = [*load, *target_crop, *finish]
test_pipeline = [load[0], dict(type='MultiScaleFlipAug', img_scale=(256, 128), flip=False, transforms=shown)]
# For HRDA: everything at twice the size.
large_source_crop = [
    dict(type='Resize', img_scale=(480, 360)), dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.75), flip]
large_target_crop = [
    dict(type='Resize', img_scale=(512, 256), keep_ratio=False), dict(type='RandomCrop', crop_size=(256, 256)), flip]
large_source_train_pipeline = [*load, *large_source_crop, *finish]
large_target_train_pipeline = [*load, *large_target_crop, *finish]
large_test_pipeline = [load[0], dict(type='MultiScaleFlipAug', img_scale=(512, 256), flip=False, transforms=shown)]

# Names and colours of the classes, as in Cityscapes; vegetation includes terrain, person also riders and two-wheelers.
colours = dict(
    road=[128, 64, 128], sidewalk=[244, 35, 232], building=[70, 70, 70], vegetation=[107, 142, 35],
    sky=[70, 130, 180], person=[220, 20, 60], vehicle=[0, 0, 142])
streets = dict(type='FolderDataset', classes=list(colours), palette=list(colours.values()))
# Source and oracle are named by the configs that train on them; both validate on the target.
source = dict(
    streets, img_dir='data/camvid/images/day_train', ann_dir='data/streets/labels/source_train',
    pipeline=source_train_pipeline)
target = dict(
    streets, data_root='data/streets', img_dir='images/target_train', ann_dir='labels/target_train',
    pipeline=target_train_pipeline)
val = dict(
    streets, data_root='data/streets', img_dir='images/target_val', ann_dir='labels/target_val',
    pipeline=test_pipeline)
data = dict(samples_per_gpu=4, workers_per_gpu=0, val=val, test=val)
