# What all runs of the built-in benchmark share: network, optimizer, length, evaluation. It runs on two CPU cores.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/daformer_conv1_mitb0_ch64.py',
    '../_base_/schedules/short_adamw_scratch.py',
]
seed = 0
# Longer than the schedule's own length.
runner = dict(max_iters=3000)
checkpoint_config = dict(interval=3000)
evaluation = dict(interval=500)
log_config = dict(interval=50, img_interval=1000)
