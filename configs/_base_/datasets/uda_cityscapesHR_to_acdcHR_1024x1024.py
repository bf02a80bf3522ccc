# Cityscapes (labelled) to ACDC (unlabelled) at full resolution.
_base_ = 'uda_cityscapes_to_acdc_512x512.py'
crop_size = (1024, 1024)
cityscapes_train_pipeline = list(_base_.cityscapes_train_pipeline)
cityscapes_train_pipeline[2:4] = [
    dict(type='Resize', img_scale=(2048, 1024)),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
]
cityscapes_train_pipeline[6] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
acdc_train_pipeline = list(_base_.acdc_train_pipeline)
acdc_train_pipeline[1:3] = [
    dict(type='Resize', img_scale=(1920, 1080)),
    dict(type='RandomCrop', crop_size=crop_size),
]
acdc_train_pipeline[5] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
test_pipeline = [_base_.test_pipeline[0], dict(_base_.test_pipeline[1], img_scale=(1920, 1080))]
data = dict(
    train=dict(source=dict(pipeline=cityscapes_train_pipeline), target=dict(pipeline=acdc_train_pipeline)),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline))
