# DAFormer on GTA -> Cityscapes: the final setting of the paper, on one GPU. Read it from top to bottom: each line says
# what it sets and why. What stands in the base files is inherited; a dict here is merged into the one it inherits.
# Before the first run: the data sets (docs/datasets.md) and the ImageNet weights (pretrained/README.md).
_base_ = [
    # Logging, log level, cuDNN: what all runs share.
    '../_base_/default_runtime.py',
    # MiT-B5 encoder and the context-aware decoder (depthwise separable ASPP over all four feature levels).
    '../_base_/models/daformer_sepaspp_mitb5.py',
    # GTA (labelled) and Cityscapes (unlabelled), both at half of Cityscapes' resolution, in random crops of 512x512.
    '../_base_/datasets/uda_gta_to_cityscapes_512x512.py',
    # Self-training with an EMA teacher and class mixing; its other parts are off until switched on below.
    '../_base_/uda/dacs.py',
    # AdamW.
    '../_base_/schedules/adamw.py',
    # Linear warm-up over 1,500 iterations, then linear decay to 0. The warm-up keeps the encoder's ImageNet features.
    '../_base_/schedules/poly10warm.py',
]
# Seed of every random draw of the run. The paper reports the mean over the seeds 0, 1 and 2.
seed = 0
uda = dict(
    # The teacher's weights are alpha * teacher + (1 - alpha) * student after each iteration: 0.999 averages over about
    # a thousand iterations, which makes its pseudo labels steadier than the 0.99 of plain DACS.
    alpha=0.999,
    # Feature distance: weight of the penalty that keeps the encoder's last features near those of ImageNet.
    imnet_feature_dist_lambda=0.005,
    # It acts on "things" alone (traffic light and sign, person, rider, car, truck, bus, train, motorcycle, bicycle;
    # train ids of Cityscapes), since ImageNet is about objects, not about road or sky.
    imnet_feature_dist_classes=[6, 7, 11, 12, 13, 14, 15, 16, 17, 18],
    # A cell of the feature map takes part if one such class fills at least this share of it.
    imnet_feature_dist_scale_min_ratio=0.75,
    # Pseudo labels get weight 0 in the first 15 rows of a crop (the border of the camera image) ...
    pseudo_weight_ignore_top=15,
    # ... and in the last 120 (the bonnet of the recording car, which has no label to learn from).
    pseudo_weight_ignore_bottom=120)
data = dict(
    # Two source and two target images per iteration.
    samples_per_gpu=2,
    # Processes that load and augment images.
    workers_per_gpu=4,
    train=dict(
        # Rare class sampling: source images with rare classes are drawn more often, so that they are learned early.
        rare_class_sampling=dict(
            # An image counts for a class if it holds more than this number of its pixels.
            min_pixels=3000,
            # Temperature of the draw: the smaller, the more often rare classes come; infinity draws all classes alike.
            class_temp=0.01,
            # A crop is drawn again (up to ten times) until it holds min_pixels * min_crop_ratio pixels of the class.
            min_crop_ratio=0.5)))
# No gradient clipping.
optimizer_config = None
optimizer = dict(
    # Base learning rate, used for the encoder.
    lr=6e-05,
    paramwise_cfg=dict(
        # Rules for the parameters whose dotted name contains the key.
        custom_keys=dict(
            # The decoder starts from random weights: ten times the learning rate.
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
name = 'gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0'
exp = 'basic'
n_gpus = 1
name_dataset = 'gta2cityscapes'
name_architecture = 'daformer_sepaspp_mitb5'
name_encoder = 'mitb5'
name_decoder = 'daformer_sepaspp'
name_uda = 'dacs_a999_fd_things_rcs0.01_cpl'
name_opt = 'adamw_6e-05_pmTrue_poly10warm_1x2_40k'
