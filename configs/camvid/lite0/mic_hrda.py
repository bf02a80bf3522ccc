# MIC on top of HRDA, with the masks of mic.py: an eighth of the crop.
_base_ = ['hrda.py']
uda = dict(
    mask_mode='separate',
    mask_lambda=1,
    mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=40, _delete_=True))
