# MIC(HRDA) on Cityscapes -> Dark Zurich (experiment 80).
_base_ = '../hrda/csHR2dzurHR_hrda.py'
# Source and target images are masked, without colour augmentation, as published for this target.
uda = dict(
    mask_mode='separate',
    mask_lambda=1,
    mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=64, _delete_=True))
