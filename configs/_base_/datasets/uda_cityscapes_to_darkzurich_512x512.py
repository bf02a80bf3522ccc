# Cityscapes (labelled) to Dark Zurich (unlabelled, night): as ACDC, other folders.
_base_ = 'uda_cityscapes_to_acdc_512x512.py'
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
