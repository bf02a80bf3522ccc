# MRM on top of DACS with DeepLabV2 and ResNet-101, Synthia -> Cityscapes, on one GPU.
# Read it from top to bottom: each line says what it sets and why. docs/methods.md explains the method. For DAFormer,
# HRDA and MIC with MRM see mrm/.
# Before the first run: the data sets (docs/datasets.md). The ImageNet weights are downloaded (pretrained/README.md).
_base_ = [
    # Logging, log level, cuDNN: what all runs share.
    '_base_/default_runtime.py',
    # DeepLabV2 with dilations 6 and 12; a ResNet whose last maps have stride 8.
    '_base_/models/deeplabv2red_r50-d8.py',
    # Synthia (labelled) and Cityscapes (unlabelled) at half resolution, in random crops of 512x512.
    '_base_/datasets/uda_synthia_to_cityscapes_512x512.py',
    # Self-training on class-mixed images with an EMA teacher of alpha 0.99; no feature distance, no rare
    # class sampling.
    '_base_/uda/dacs.py',
    # AdamW.
    '_base_/schedules/adamw.py',
    # Linear warm-up over 1,500 iterations, then linear decay to 0.
    '_base_/schedules/poly10warm.py',
]
# Seed of every random draw of the run.
seed = 0
model = dict(
    # ImageNet weights of the encoder ...
    pretrained='open-mmlab://resnet101_v1c',
    # ... which has 101 layers.
    backbone=dict(depth=101))
data = dict(
    # Two source and two target images per iteration.
    samples_per_gpu=2,
    # Processes that load and augment images. Take more if data_time in the log is not near 0.
    workers_per_gpu=1)
uda = dict(
    # Masked representation modelling: cells of the encoder's last maps of target images are hidden and rebuilt by a
    # small transformer, and the decoder has to classify the rebuilt maps. It exists in training only.
    mrm=dict(
        # Factor of the loss.
        weight=1.0,
        # Probability of a cell to be hidden.
        mask_ratio=0.4,
        # Width of the transformer,
        dim=512,
        # its cells: one per 32x32 pixels, 16x16 for crops of 512x512,
        grid='auto',
        # its blocks,
        depth=2,
        # and the attention heads of each.
        heads=16,
        # Its learning rate, 3.3 times that of the encoder (not verified with the authors); the schedule is the same.
        lr=2e-4,
        # The target images themselves, without augmentation. 'mix' or 'masked' use the features of those branches.
        view='target',
        # The additional passes leave the running statistics of batch norms alone.
        aux_bn='frozen'))
# No gradient clipping.
optimizer_config = None
optimizer = dict(
    # Base learning rate, used for the encoder.
    lr=6e-05,
    paramwise_cfg=dict(
        # Rules for the parameters whose dotted name contains the key.
        custom_keys=dict(
            # The decoder starts from random weights: ten times the learning rate.
            head=dict(lr_mult=10.0))))
# Training counts iterations, not epochs.
runner = dict(type='IterBasedRunner', max_iters=40000)
# One checkpoint, at the end.
checkpoint_config = dict(by_epoch=False, interval=40000, max_keep_ckpts=1)
# mIoU on the validation images of Cityscapes every 4,000 iterations, with the student's weights.
evaluation = dict(interval=4000, metric='mIoU')
# What follows describes the run for people and has no effect on it.
name = 'syn2cs_dacs_mrm_dlv2'
exp = 'basic'
n_gpus = 1
name_dataset = 'synthia2cityscapes'
name_architecture = 'dlv2red_r101v1c'
name_encoder = 'r101v1c'
name_decoder = 'dlv2red'
name_uda = 'dacs_mrm0.4'
name_opt = 'adamw_6e-05_pmTrue_poly10warm_1x2_40k'
