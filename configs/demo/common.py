# What `make demo` trains, on the built-in scenes and from ImageNet weights: data, network, optimizer, length. Scenes are
# enlarged to twice their size: the network's finest map has cells of 4 x 4 pixels, and things are small. The rate is
# high, since the demo ends after minutes.
_base_ = '../_base_/lite0.py'
optimizer = dict(lr=6e-4)
runner = dict(max_iters=850)
checkpoint_config = dict(interval=850)
evaluation = dict(interval=850)
log_config = dict(img_interval=850)

load, flip, finish, shown = _base_.load, _base_.flip, _base_.finish, _base_.shown
crop_size = (144, 144)
resize = dict(type='Resize', img_scale=(384, 192))
source_pipeline = [*load, resize, dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75), flip, *finish]
target_pipeline = [*load, resize, dict(type='RandomCrop', crop_size=crop_size), flip, *finish]
test_pipeline = [load[0], dict(type='MultiScaleFlipAug', img_scale=(384, 192), flip=False, transforms=shown)]
source = dict(
    type='GTADataset', data_root='data/toy/game/', img_dir='images', ann_dir='labels', pipeline=source_pipeline)
camera = dict(type='CityscapesDataset', data_root='data/toy/camera/')
target = dict(camera, img_dir='leftImg8bit/train', ann_dir='gtFine/train', pipeline=target_pipeline)
val = dict(camera, img_dir='leftImg8bit/val', ann_dir='gtFine/val', pipeline=test_pipeline)
data = dict(samples_per_gpu=2, workers_per_gpu=0, val=val, test=val)
