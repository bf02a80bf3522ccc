# What the published DIDA program computes, on top of DAFormer. It starts from a bank that exists:
#     python create_buffer.py --mode source --config configs/camvid/lite0/source_only.py --checkpoint CHECKPOINT \
#         --size 110 --out embedding_cache/camvid_lite0
# where CHECKPOINT is that of a training with source_only.py.
_base_ = ['daformer.py']
uda = dict(instance_bank=dict(preset='dida_code', bank='embedding_cache/camvid_lite0'))
