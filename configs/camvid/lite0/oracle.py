# Oracle: supervised training on the labels at dusk, which adaptation does not see.
_base_ = ['source_only.py']
data = dict(train=dict(img_dir='images/dusk_train', ann_dir='labels/dusk_train'))
