# What the published DIDA program computes, on top of DAFormer. A first pass over source images fills its bank, ten rows
# for each class, before the training begins. To start from features of a trained network instead, as the published
# runs do, make a bank and name its folder with bank='embedding_cache/streets':
#     python create_buffer.py --mode source --config configs/streets/source_only.py --checkpoint CHECKPOINT \
#         --size 70 --out embedding_cache/streets
# where CHECKPOINT is that of a training with source_only.py. Here that costs nine points; calibrate=False leaves
# the raw class scores out and brings them back (docs/results.md).
_base_ = ['daformer.py']
uda = dict(instance_bank=dict(preset='dida_code', size=70))
