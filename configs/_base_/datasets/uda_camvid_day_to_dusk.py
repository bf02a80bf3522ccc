# From labelled CamVid by day to unlabelled CamVid at dusk.
_base_ = 'camvid_day.py'
day_train_pipeline = _base_.pop('train_pipeline')  # pop: the base's name for it is not inherited
dusk_train_pipeline = list(day_train_pipeline)
dusk_train_pipeline[3] = dict(type='RandomCrop', crop_size=_base_.crop_size)
data = dict(
    train=dict(
        _delete_=True,
        type='UDADataset',
        source=_base_.data.train,
        target=dict(
            type='CamVidDataset',
            data_root='data/camvid/',
            img_dir='images/dusk_train',
            ann_dir='labels/dusk_train',
            pipeline=dusk_train_pipeline)))
