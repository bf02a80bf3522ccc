# Trained on labelled camera images: the oracle. Tested on camera images.
_base_ = 'toy_game.py'
data = dict(
    train=dict(
        type='CityscapesDataset',
        data_root='data/toy/camera/',
        img_dir='leftImg8bit/train',
        ann_dir='gtFine/train'))
