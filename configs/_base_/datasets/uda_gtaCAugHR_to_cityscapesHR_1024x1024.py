# uda_gtaHR_to_cityscapesHR_1024x1024.py with colour augmentation of the source images.
_base_ = 'uda_gtaHR_to_cityscapesHR_1024x1024.py'
gta_train_pipeline = list(_base_.gta_train_pipeline)
gta_train_pipeline.insert(5, dict(type='PhotoMetricDistortion'))
data = dict(train=dict(source=dict(pipeline=gta_train_pipeline)))
