# Cityscapes as both domains, with one pipeline: supervised training through the UDA step.
_base_ = 'cityscapes_half_512x512.py'
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'PhotoMetricDistortion']
data = dict(
    train=dict(
        _delete_=True,
        type='UDADataset',
        source=dict(_base_.data.train, pipeline=train_pipeline),
        target=dict(_base_.data.train, pipeline=train_pipeline)))
