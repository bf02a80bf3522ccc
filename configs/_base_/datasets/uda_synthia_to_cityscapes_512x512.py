# Synthia (labelled) to Cityscapes (unlabelled) at half resolution: as from GTA, another source.
_base_ = 'uda_gta_to_cityscapes_512x512.py'
synthia_train_pipeline = _base_.pop('gta_train_pipeline')  # pop: the base's name for it is not inherited
synthia_train_pipeline[2] = dict(type='Resize', img_scale=(1280, 760))
data = dict(
    train=dict(
        source=dict(
            type='SynthiaDataset',
            data_root='data/synthia/',
            img_dir='RGB',
            ann_dir='GT/LABELS',
            pipeline=synthia_train_pipeline)))
