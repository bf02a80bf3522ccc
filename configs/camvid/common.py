# What all CamVid runs share: network, optimizer, length, evaluation. It runs on two CPU cores.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/daformer_conv1_mitb0_ch64.py',
    '../_base_/schedules/short_adamw_scratch.py',
]
seed = 0
model = dict(decode_head=dict(num_classes=11))
log_config = dict(interval=50, img_interval=500)
