# Short trainings from ImageNet weights on a CPU: AdamW, ten times the rate for heads, a warm-up of 50 iterations.
_base_ = ['adamw.py', 'poly10warm.py']
optimizer = dict(lr=1e-4, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0), bn=dict(decay_mult=0.0))))
lr_config = dict(warmup_iters=50)
runner = dict(type='IterBasedRunner', max_iters=1000)
checkpoint_config = dict(by_epoch=False, interval=1000, max_keep_ckpts=1)
evaluation = dict(interval=250, metric='mIoU')
