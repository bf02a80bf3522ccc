# MIC on top of DAFormer: target images whose blocks are hidden, as published for simulated sources after a colour
# augmentation. A block is an eighth of the crop; published are a sixteenth, but a network that sees crops of 96 pixels
# has larger cells for their size.
_base_ = ['daformer.py']
uda = dict(
    mask_mode='separatetrgaug',
    mask_lambda=1,
    mask_generator=dict(type='block', mask_ratio=0.7, mask_block_size=12, _delete_=True))
