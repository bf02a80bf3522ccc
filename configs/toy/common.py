# What all runs of the built-in benchmark share: network, optimizer, length, evaluation. It runs on two CPU cores.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/daformer_conv1_mitb0_ch64.py',
    '../_base_/schedules/adamw.py',
    '../_base_/schedules/poly10warm.py',
]
seed = 0
# The encoder starts from random weights: ten times the published rate, and the same factor for the head.
optimizer = dict(lr=6e-4, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0), norm=dict(decay_mult=0.0))))
optimizer_config = None
lr_config = dict(warmup_iters=50)
runner = dict(type='IterBasedRunner', max_iters=3000)
checkpoint_config = dict(by_epoch=False, interval=3000, max_keep_ckpts=1)
evaluation = dict(interval=500, metric='mIoU')
log_config = dict(interval=50, img_interval=1000)
