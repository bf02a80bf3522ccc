# MIC on top of DAFormer, with the masks of ../../streets/mic.py and for its reasons: a block is an eighth of the crop. As
# published for sources that are real (both domains, 70 % hidden) it scored less here, too (docs/results.md).
_base_ = ['daformer.py']
uda = dict(
    mask_mode='separatetrgaug',
    mask_lambda=1,
    mask_aux_bn='frozen',
    mask_generator=dict(type='block', mask_ratio=0.5, mask_block_size=20, _delete_=True))
