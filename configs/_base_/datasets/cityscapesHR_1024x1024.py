# Cityscapes at full resolution with its own labels: the oracle at 1024x1024.
_base_ = 'cityscapes_half_512x512.py'
crop_size = (1024, 1024)
train_pipeline = list(_base_.train_pipeline)
train_pipeline[2:4] = [
    dict(type='Resize', img_scale=(2048, 1024)),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
]
train_pipeline[7] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
test_pipeline = [_base_.test_pipeline[0], dict(_base_.test_pipeline[1], img_scale=(2048, 1024))]
data = dict(
    train=dict(pipeline=train_pipeline), val=dict(pipeline=test_pipeline), test=dict(pipeline=test_pipeline))
