# cityscapesHR_1024x1024.py with crops of 512x512.
_base_ = 'cityscapesHR_1024x1024.py'
crop_size = (512, 512)
train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75)
train_pipeline[7] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
data = dict(train=dict(pipeline=train_pipeline))
