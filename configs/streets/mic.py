# MIC on top of DAFormer: images of both domains whose blocks are hidden, as published for sources that are real. A
# block is an eighth of the crop, see ../toy/mic.py.
_base_ = ['daformer.py']
uda = dict(
    mask_mode='separate',
    mask_lambda=1,
    mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=16, _delete_=True))
