# From labelled game images of the built-in benchmark to unlabelled camera images.
_base_ = 'toy_game.py'
game_train_pipeline = _base_.pop('train_pipeline')  # pop: the base's name for it is not inherited
camera_train_pipeline = list(game_train_pipeline)
camera_train_pipeline[3] = dict(type='RandomCrop', crop_size=_base_.crop_size)
data = dict(
    train=dict(
        _delete_=True,
        type='UDADataset',
        source=_base_.data.train,
        target=dict(
            type='CityscapesDataset',
            data_root='data/toy/camera/',
            img_dir='leftImg8bit/train',
            ann_dir='gtFine/train',
            pipeline=camera_train_pipeline)))
