# Source only: trained on GTA, tested on Cityscapes, both at half resolution.
_base_ = 'cityscapes_half_512x512.py'
train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(type='Resize', img_scale=(1280, 720))
data = dict(
    train=dict(
        type='GTADataset', data_root='data/gta/', img_dir='images', ann_dir='labels', pipeline=train_pipeline))
