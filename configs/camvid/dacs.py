# DACS: self-training on class-mixed images, from day to dusk. Student and teacher are both scored.
_base_ = ['common.py', '../_base_/datasets/uda_camvid_day_to_dusk.py', '../_base_/uda/dacs.py']
evaluation = dict(model=['student', 'teacher'])
