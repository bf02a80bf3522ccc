# Oracle: supervised training on the labels of Cityscapes, which adaptation does not see.
_base_ = ['common.py']
data = dict(train={{_base_.target}})
