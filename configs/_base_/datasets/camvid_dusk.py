# Trained on labelled CamVid at dusk: the oracle. Tested on CamVid at dusk.
_base_ = 'camvid_day.py'
data = dict(train=dict(img_dir='images/dusk_train', ann_dir='labels/dusk_train'))
