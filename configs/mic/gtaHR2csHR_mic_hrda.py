# MIC on top of HRDA, GTA -> Cityscapes: the final setting of the paper, on one GPU. It adds masks to HRDA's training:
# each line here says what it sets and why; the file that it inherits from does so for the rest.
# For ACDC and Dark Zurich take the configs beside this one, not this one with another data set (docs/how-to/
# choose_config.md says why).
# Before the first run: the data sets (docs/datasets.md) and the ImageNet weights (pretrained/README.md).
_base_ = '../hrda/gtaHR2csHR_hrda.py'
# Seed of every random draw of the run. The paper reports the mean over the seeds 0, 1 and 2.
seed = 2
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
# What follows describes the run for people and has no effect on it.
name = 'gtaHR2csHR_mic_hrda'
name_uda = 'dacs_a999_fdthings_rcs0.01-2.0_cpl2_m64-0.7-spta'
