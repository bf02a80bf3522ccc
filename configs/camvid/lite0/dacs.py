# DACS: self-training on class-mixed images, from day to dusk. Student and teacher are both scored.
_base_ = ['common.py', '../../_base_/uda/dacs.py']
data = dict(train=dict(type='UDADataset', source={{_base_.day}}, target={{_base_.dusk}}))
evaluation = dict(model=['student', 'teacher'])
