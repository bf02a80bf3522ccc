# Source only: supervised training on CamVid, tested on Cityscapes. What adaptation has to beat.
_base_ = ['common.py']
data = dict(train={{_base_.source}})
