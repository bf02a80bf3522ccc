# Short trainings from random weights on a CPU: ten times the published rate, and the same factor for the head.
_base_ = 'short_adamw.py'
optimizer = dict(
    lr=6e-4, paramwise_cfg=dict(custom_keys=dict(_delete_=True, head=dict(lr_mult=10.0), norm=dict(decay_mult=0.0))))
optimizer_config = None
