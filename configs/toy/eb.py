# Entropy balancing (EBDA) on top of DAFormer, with its published strength: 0.1, towards 0.4 nats, on all pixels.
_base_ = ['daformer.py']
uda = dict(entropy_balance=dict(weight=0.1, target=0.4))
