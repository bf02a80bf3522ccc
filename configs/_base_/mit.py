# DAFormer's training with its network (MiT-B5), for data sets of one's own: and steps of the pipelines.
_base_ = '../daformer/common.py'
model = dict(pretrained='mit_b5')  # fetched from the Hugging Face Hub if it is not in pretrained/
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
flip = dict(type='RandomFlip', prob=0.5)
normalize = dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
finish = [normalize, dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
shown = [
    dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), normalize,
    dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
