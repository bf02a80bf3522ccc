# uda_gtaHR_to_cityscapesHR_1024x1024.py with crops of 768x768 and colour augmentation of the source images.
_base_ = 'uda_gtaHR_to_cityscapesHR_1024x1024.py'
crop_size = (768, 768)
gta_train_pipeline = list(_base_.gta_train_pipeline)
gta_train_pipeline[3] = dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75)
gta_train_pipeline[6] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
gta_train_pipeline.insert(5, dict(type='PhotoMetricDistortion'))
cityscapes_train_pipeline = list(_base_.cityscapes_train_pipeline)
cityscapes_train_pipeline[3] = dict(type='RandomCrop', crop_size=crop_size)
cityscapes_train_pipeline[6] = dict(type='Pad', size=crop_size, pad_val=0, seg_pad_val=255)
data = dict(
    train=dict(source=dict(pipeline=gta_train_pipeline), target=dict(pipeline=cityscapes_train_pipeline)))
