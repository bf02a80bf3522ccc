# uda_cityscapes_to_cityscapes_512x512.py with colour augmentation of both domains.
_base_ = 'uda_cityscapes_to_cityscapes_512x512.py'
train_pipeline = list(_base_.train_pipeline)
train_pipeline.insert(5, dict(type='PhotoMetricDistortion'))
data = dict(train=dict(source=dict(pipeline=train_pipeline), target=dict(pipeline=train_pipeline)))
