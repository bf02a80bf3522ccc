# DACS: self-training on class-mixed images. Student and teacher are both scored.
_base_ = ['common.py', '../_base_/uda/dacs.py']
data = dict(train=dict(type='UDADataset', source={{_base_.source}}, target={{_base_.target}}))
evaluation = dict(model=['student', 'teacher'])
