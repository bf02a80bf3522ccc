# MIC on top of HRDA, with the masks of mic.py: an eighth of the crop.
_base_ = ['hrda.py']
uda = dict(
    mask_mode='separatetrgaug',
    mask_lambda=1,
    mask_aux_bn='frozen',
    mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=40, _delete_=True))
