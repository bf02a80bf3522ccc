# DACS: self-training on class-mixed images. Student and teacher are both scored, and the pseudo labels
# are compared with the target's labels, on which nothing is trained.
_base_ = ['common.py', '../_base_/uda/dacs.py']
data = dict(train=dict(type='UDADataset', source={{_base_.source}}, target={{_base_.target}}))
evaluation = dict(model=['student', 'teacher'])
log_config = dict(meters=True)
