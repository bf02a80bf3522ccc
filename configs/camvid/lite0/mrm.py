# MRM on top of DAFormer. The Rebuilder is as wide as the encoder's last level and learns 3.3 times as fast as the
# encoder, see ../../toy/dacs_mrm.py.
_base_ = ['daformer.py']
uda = dict(mrm=dict(weight=1.0, mask_ratio=0.4, dim=320, heads=10, lr=6.6e-4))
