# uda_gta_to_cityscapes_512x512.py with colour augmentation of the source images.
_base_ = 'uda_gta_to_cityscapes_512x512.py'
gta_train_pipeline = list(_base_.gta_train_pipeline)
gta_train_pipeline.insert(5, dict(type='PhotoMetricDistortion'))
data = dict(train=dict(source=dict(pipeline=gta_train_pipeline)))
