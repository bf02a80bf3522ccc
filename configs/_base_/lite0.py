# Short trainings of the small network with ImageNet weights: network, schedule, and steps of the pipelines.
_base_ = ['default_runtime.py', 'models/daformer_conv1_lite0_ch64.py', 'schedules/short_adamw.py']
seed = 0
log_config = dict(interval=50, img_interval=500)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
flip = dict(type='RandomFlip', prob=0.5)
normalize = dict(type='Normalize', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True)
finish = [normalize, dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
shown = [
    dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), normalize,
    dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
