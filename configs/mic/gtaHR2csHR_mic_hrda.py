# MIC on top of HRDA, GTA -> Cityscapes: the final setting of the paper, on one GPU. Read it from top to bottom: each
# line says what it sets and why. What it shares with HRDA is explained in ../hrda/gtaHR2csHR_hrda.py, what
# it shares with DAFormer in ../daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py.
# For ACDC and Dark Zurich take the configs beside this one, not this one with another data set (docs/how-to/
# choose_config.md says why).
# Before the first run: the data sets (docs/datasets.md) and the ImageNet weights (pretrained/README.md).
_base_ = [
    # Logging, log level, cuDNN: what all runs share.
    '../_base_/default_runtime.py',
    # DAFormer's network: MiT-B5 and its context-aware decoder.
    '../_base_/models/daformer_sepaspp_mitb5.py',
    # GTA (labelled) and Cityscapes (unlabelled) at full resolution, in random crops of 1024x1024.
    '../_base_/datasets/uda_gtaHR_to_cityscapesHR_1024x1024.py',
    # DAFormer's self-training: EMA teacher with alpha 0.999, class mixing, feature distance on things.
    '../_base_/uda/dacs_a999_fdthings.py',
    # AdamW.
    '../_base_/schedules/adamw.py',
    # Linear warm-up over 1,500 iterations, then linear decay to 0.
    '../_base_/schedules/poly10warm.py',
]
# Seed of every random draw of the run. The paper reports the mean over the seeds 0, 1 and 2.
seed = 2
model = dict(
    # HRDA's multi-resolution network: context at half size, detail at full size.
    type='HRDAEncoderDecoder',
    # Scales of the detail crop and of the context crop.
    scales=[1, 0.5],
    # Size of the detail crop in pixels of the full resolution.
    hr_crop_size=[512, 512],
    # The feature distance compares the features of the context crop.
    feature_scale=0.5,
    # Offsets of the detail crop are multiples of 8 pixels.
    crop_coord_divisible=8,
    # Where no labels guide the choice (teacher, test), detail windows slide over the whole image and overlap by half.
    hr_slide_inference=True,
    decode_head=dict(
        # One decoder for both crops, and an attention that says where to trust which of the two predictions.
        type='HRDAHead',
        # The decoder: DAFormer's.
        single_scale_head='DAFormerHead',
        # The attention has one map per class.
        attention_classwise=True,
        # Weight of the loss on the detail crop; the fused prediction has weight 1 - 0.1.
        hr_loss_weight=0.1),
    test_cfg=dict(
        # Windows of the size of the training crops slide over test images, overlap by half ...
        mode='slide',
        # ... and go through the network together.
        batched_slide=True,
        stride=[512, 512],
        crop_size=[1024, 1024]))
data = dict(
    # Two source and two target images per iteration.
    samples_per_gpu=2,
    # Processes that load and augment images. Take more if data_time in the log is not near 0.
    workers_per_gpu=1,
    train=dict(
        target=dict(
            # No pseudo labels near the border of the camera image and on the bonnet of the recording car: rows at the
            # top, rows at the bottom, columns left and right, in pixels of the whole image.
            crop_pseudo_margins=[30, 240, 30, 30]),
        # Rare class sampling: source images with rare classes are drawn more often.
        rare_class_sampling=dict(
            # An image counts for a class if it holds more than this number of its pixels.
            min_pixels=3000,
            # Temperature of the draw: the smaller, the more often rare classes come.
            class_temp=0.01,
            # A crop is drawn again (up to ten times) until it holds min_pixels * min_crop_ratio pixels of the class.
            min_crop_ratio=2.0)))
uda = dict(
    # Masked image consistency: blocks of an image are hidden, and the student has to predict the pseudo label of the
    # whole image from what is left, so it learns to use the context. The mode says which images are masked: with
    # 'separatetrgaug' the target images, after a colour augmentation of their own.
    mask_mode='separatetrgaug',
    # The pseudo labels are those of the host's teacher; a number instead of 'same' gives MIC a teacher of its own.
    mask_alpha='same',
    # The same for the confidence threshold: that of the host.
    mask_pseudo_threshold='same',
    # Weight of the consistency loss.
    mask_lambda=1,
    mask_generator=dict(
        # Square blocks; the only kind there is.
        type='block',
        # Share of the blocks that are hidden.
        mask_ratio=0.7,
        # Their side in pixels: 64 at full resolution, 32 at half.
        mask_block_size=64,
        # The base has no mask generator (None) that this could be merged into: replace it.
        _delete_=True))
# No gradient clipping.
optimizer_config = None
optimizer = dict(
    # Base learning rate, used for the encoder.
    lr=6e-05,
    paramwise_cfg=dict(
        # Rules for the parameters whose dotted name contains the key.
        custom_keys=dict(
            # Decoder and attention start from random weights: ten times the learning rate.
            head=dict(lr_mult=10.0),
            # No weight decay for position embeddings (MiT has none; the rule comes from SegFormer) ...
            pos_block=dict(decay_mult=0.0),
            # ... and for the normalisation layers of the encoder.
            norm=dict(decay_mult=0.0))))
# Training counts iterations, not epochs.
runner = dict(type='IterBasedRunner', max_iters=40000)
# One checkpoint, at the end.
checkpoint_config = dict(by_epoch=False, interval=40000, max_keep_ckpts=1)
# mIoU on the validation images of Cityscapes every 4,000 iterations, with the student's weights.
evaluation = dict(interval=4000, metric='mIoU')
# What follows describes the run for people and has no effect on it.
name = 'gtaHR2csHR_mic_hrda'
exp = 'basic'
n_gpus = 1
gpu_model = 'NVIDIATITANRTX'
name_dataset = 'gtaHR2cityscapesHR_1024x1024'
name_architecture = 'hrda1-512-0.1_daformer_sepaspp_sl_mitb5'
name_encoder = 'mitb5'
name_decoder = 'hrda1-512-0.1_daformer_sepaspp_sl'
name_uda = 'dacs_a999_fdthings_rcs0.01-2.0_cpl2_m64-0.7-spta'
name_opt = 'adamw_6e-05_pmTrue_poly10warm_1x2_40k'
