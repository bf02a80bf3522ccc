# MIC(HRDA) on Synthia -> Cityscapes (experiment 80).
_base_ = '../hrda/synHR2csHR_hrda.py'
# Target images are masked after a colour augmentation, as for GTA.
uda = dict(
    mask_mode='separatetrgaug',
    mask_lambda=1,
    mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=64, _delete_=True))
