# SegFormer-B5.
_base_ = 'segformer.py'
model = dict(pretrained='pretrained/mit_b5.pth', backbone=dict(type='mit_b5'))
