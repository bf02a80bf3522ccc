# Source only with photometric distortion of its images: the cheapest thing that adaptation has to beat.
_base_ = ['source_only.py']
data = dict(train=dict(pipeline={{_base_.photometric_train_pipeline}}))
