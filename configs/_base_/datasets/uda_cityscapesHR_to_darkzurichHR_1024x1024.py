# Cityscapes (labelled) to Dark Zurich (unlabelled, night) at full resolution: as ACDC, other folders.
_base_ = 'uda_cityscapesHR_to_acdcHR_1024x1024.py'
dataset_type = 'DarkZurichDataset'
data_root = 'data/dark_zurich/'
data = dict(
    train=dict(
        target=dict(
            type='DarkZurichDataset',
            data_root='data/dark_zurich/',
            img_dir='rgb_anon/train/night/',
            ann_dir='gt/train/night/')),  # need not exist: target labels are never read
    val=dict(type='DarkZurichDataset', data_root='data/dark_zurich/'),
    test=dict(type='DarkZurichDataset', data_root='data/dark_zurich/'))
