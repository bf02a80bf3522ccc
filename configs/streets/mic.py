# MIC on top of DAFormer: target images, their colours changed, whose blocks are hidden. A block is an eighth of the
# crop, see ../toy/mic.py. As published for sources that are real (source images as well, 70 % hidden) it scored less;
# the encoder's batch norms do not count masked images (docs/results.md lists the trials).
_base_ = ['daformer.py']
uda = dict(
    mask_mode='separatetrgaug',
    mask_lambda=1,
    mask_aux_bn='frozen',
    mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=16, _delete_=True))
